package speaker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/kontena/network-lb/internal/atomicfile"
)

const (
	keepPause    = 100 * time.Millisecond // so long after it was put something is written: what is announced goes first
	keepEvery    = time.Second            // at most so often something is written, ...
	keepShare    = 50                     // ... and not in more than this part of the time
	confirmEvery = 5 * time.Minute        // so often it is said that what was written still holds
)

// keeper writes what is to be kept into a file, beside the loop, whenever it is another. The file's time says when its
// content last held.
type keeper struct {
	file string // empty: nothing is kept
	log  *zap.Logger
	wake chan struct{}

	mu   sync.Mutex
	next *kept // to be written; nil: nothing new

	sum       [sha256.Size]byte // of what is in the file
	confirmed time.Time         // the file's time; zero before this process has written one
	problem   string
}

func newKeeper(o Options, log *zap.Logger) *keeper {
	k := &keeper{log: log, wake: make(chan struct{}, 1)}
	if o.State != "" {
		k.file = filepath.Join(o.State, "cluster.json.gz")
	}
	return k
}

// put has something kept in place of what was; it never blocks. nil changes nothing.
func (k *keeper) put(next *kept) {
	if k.file == "" || next == nil {
		return
	}
	k.mu.Lock()
	k.next = next
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// run keeps until ctx ends, and then what is there to keep.
func (k *keeper) run(ctx context.Context) {
	for {
		timer := time.NewTimer(confirmEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			k.write(true)
			return
		case <-k.wake:
		case <-timer.C:
		}
		timer.Stop()
		pauseUntil(ctx, time.Now().Add(keepPause))
		began := time.Now()
		k.write(false)
		pauseUntil(ctx, time.Now().Add(max(keepEvery, keepShare*time.Since(began))))
	}
}

func (k *keeper) write(last bool) {
	k.mu.Lock()
	next := k.next
	k.next = nil
	k.mu.Unlock()
	err := k.replace(next, last)
	problem := ""
	if err != nil {
		problem = err.Error()
		k.sum = [sha256.Size]byte{} // the next one is written whatever it is
	}
	if err != nil && problem != k.problem {
		k.log.Warn("what is known of the cluster is not kept for the next process", zap.Error(err))
	}
	k.problem = problem
}

// replace writes a file if it is another than the last one, all or nothing, or says that it still holds.
func (k *keeper) replace(next *kept, last bool) error {
	now := time.Now()
	if next != nil {
		var text bytes.Buffer
		if err := next.encode(&text); err != nil {
			return err
		}
		if sum := sha256.Sum256(text.Bytes()); sum != k.sum {
			if err := atomicfile.Write(k.file, text.Bytes()); err != nil {
				return fmt.Errorf("keeping the cluster: %w", err)
			}
			if err := os.Chtimes(k.file, now, now); err != nil {
				return fmt.Errorf("keeping the cluster: %w", err)
			}
			k.sum, k.confirmed = sum, now
			return nil
		}
	}
	if k.confirmed.IsZero() || !last && now.Sub(k.confirmed) < confirmEvery {
		return nil
	}
	k.confirmed = now
	if err := os.Chtimes(k.file, now, now); err != nil {
		return fmt.Errorf("keeping the cluster: %w", err)
	}
	return nil
}
