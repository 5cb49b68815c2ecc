// Package namespace makes and enters the Linux network and mount namespaces that the lab's hosts are made of.
package namespace

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// netDir is where `ip netns` keeps its named namespaces, so that both find the same ones.
const netDir = "/run/netns"

// Host names the namespaces of one host. The empty string stands for the machine's own.
type Host struct {
	Net   string // name of a network namespace, as `ip netns list` shows it
	Mount string // file that a mount namespace is kept at
}

// Do runs f on an operating system thread inside the host's namespaces. Sockets and processes that f itself
// opens and starts belong to them for good; goroutines that f starts do not.
func (h Host) Do(f func() error) error {
	return onThread(func() error {
		if err := h.enter(); err != nil {
			return err
		}
		return f()
	})
}

// enter moves the calling thread.
func (h Host) enter() error {
	if h.Net != "" {
		if err := setns(filepath.Join(netDir, h.Net), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("entering network namespace %s: %w", h.Net, err)
		}
	}
	if h.Mount == "" {
		return nil
	}
	// A thread may change its mount namespace only once it shares no root and working folder with others.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("entering mount namespace %s: %w", h.Mount, err)
	}
	if err := setns(h.Mount, unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("entering mount namespace %s: %w", h.Mount, err)
	}
	return nil
}

func setns(path string, kind int) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.Setns(fd, kind)
}

// DialContext opens a connection from inside the host; it has the signature that net.Dialer and client-go share.
// The address must be a literal: a name would be resolved outside.
func (h Host) DialContext(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = h.Do(func() error {
		var d net.Dialer
		conn, err = d.DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// onThread runs f on a thread that dies afterwards, so that no other goroutine finds itself in another namespace.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if unix.Gettid() == unix.Getpid() {
			// The main thread cannot end, and stands for the whole process in /proc: hold it while another does it.
			defer runtime.UnlockOSThread()
			done <- onThread(f)
			return
		}
		done <- f()
	}()
	return <-done
}

// AddNet makes a named network namespace.
func AddNet(name string) error {
	err := onThread(func() error {
		ns, err := netns.NewNamed(name)
		if err != nil {
			return err
		}
		return ns.Close()
	})
	if err != nil {
		return fmt.Errorf("making network namespace %s: %w", name, err)
	}
	return nil
}

// DeleteNet deletes a named network namespace; one that is not there is no error. Interfaces in it go
// away once the last process in it has ended.
func DeleteNet(name string) error {
	if err := netns.DeleteNamed(name); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("deleting network namespace %s: %w", name, err)
	}
	// EINVAL: a file that a crash left behind before the namespace was mounted on it.
	if err := os.Remove(filepath.Join(netDir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("deleting network namespace %s: %w", name, err)
	}
	return nil
}

// ListNet names the network namespaces that begin with prefix.
func ListNet(prefix string) ([]string, error) {
	entries, err := os.ReadDir(netDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	return names, err
}
