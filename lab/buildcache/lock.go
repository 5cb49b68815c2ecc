package buildcache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Lock takes an exclusive lock on a file, which the kernel takes away from a holder that dies. It calls
// waiting once if somebody else holds it, and gives up when the context ends.
func Lock(ctx context.Context, path string, waiting func()) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	retry := time.NewTicker(200 * time.Millisecond)
	defer retry.Stop()
	unlock = func() { _ = f.Close() } // the lock ends with the file, whatever closing says
	for first := true; ; first = false {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return unlock, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			unlock()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		if first {
			waiting()
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			unlock()
			return nil, fmt.Errorf("waiting for %s: %w", path, ctx.Err())
		}
	}
}
