package namespace

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Bind is one folder that a mount namespace sees in another place.
type Bind struct{ Source, Target string }

// AddMount makes a mount namespace that is kept at file, and shows in it every bind's source at its target.
// What is mounted inside stays inside, and is gone when the namespace goes. The file must lie on a mount of
// its own with private propagation (Linux refuses to keep a mount namespace elsewhere).
func AddMount(file string, binds []Bind) error {
	// Linux keeps a mount namespace only from within one that is older, and from 6.18 on it tells age by numbers
	// that each processor takes from a batch of its own. Where this process is itself in a namespace that somebody
	// made, as in a container, about every second new one therefore passes for older, and is refused: make another.
	const attempts = 50
	var err error
	for range attempts {
		if err = addMount(file, binds); !errors.Is(err, unix.EINVAL) {
			return err
		}
	}
	return err
}

func addMount(file string, binds []Bind) error {
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return err
	}
	ready, keep, ended := make(chan int), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- onThread(func() error {
			if err := isolate(binds); err != nil {
				return err
			}
			ready <- unix.Gettid()
			<-keep
			return nil
		})
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("making mount namespace %s: %w", file, err)
	case tid := <-ready:
		defer close(keep)
		// Mounted from here, the machine's own namespace, or nobody could find it.
		source := fmt.Sprintf("/proc/self/task/%d/ns/mnt", tid)
		if err := unix.Mount(source, file, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("keeping mount namespace %s: %w", file, err)
		}
		return nil
	}
}

// isolate gives the calling thread a mount namespace with the binds in it.
func isolate(binds []Bind) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	// Slave: what the machine mounts still appears, what is mounted here does not get out. Shared again on
	// top of it: containers can ask for mounts to propagate to them.
	for _, flag := range []uintptr{unix.MS_SLAVE, unix.MS_SHARED} {
		if err := unix.Mount("", "/", "", unix.MS_REC|flag, ""); err != nil {
			return fmt.Errorf("isolating mounts: %w", err)
		}
	}
	for _, b := range binds {
		for _, dir := range []string{b.Source, b.Target} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
		}
		if err := unix.Mount(b.Source, b.Target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("showing %s at %s: %w", b.Source, b.Target, err)
		}
	}
	return nil
}
