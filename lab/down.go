package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/kontena/network-lb/lab/buildcache"
	"github.com/kontena/network-lb/lab/namespace"
	"github.com/kontena/network-lb/lab/process"
)

// Down stops everything that the lab started and removes everything that it made, also what a crashed run
// left behind. A lab that is not up is no error.
func Down(ctx context.Context, opts Options) error {
	if err := checkMachine(); err != nil {
		return err
	}
	unlock, err := buildcache.Lock(ctx, lockFile, func() { opts.log()("waiting for another lab command") })
	if err != nil {
		return err
	}
	defer unlock()
	return clean(StateDir, opts.log())
}

// clean leaves the machine as it was before the lab.
func clean(state string, log buildcache.Log) error {
	names, err := namespace.ListNet(Prefix)
	if err != nil {
		return err
	}
	_, err = os.Stat(state)
	if errors.Is(err, os.ErrNotExist) && len(names) == 0 {
		return nil
	}
	log("removing the lab, or what is left of it")
	if err := killAll(state, names); err != nil {
		return err
	}
	for _, name := range names {
		if err := namespace.DeleteNet(name); err != nil {
			return err
		}
	}
	if err := restoreSysctls(state); err != nil {
		return err
	}
	return unmountState(state)
}

// killAll ends the lab's processes. All of its data is about to go, so none is asked politely. First those
// that would start others anew, then containers and their keepers, then whatever else lives in the lab's
// namespaces: commands that were run there, and what was started in the moment of a crash.
func killAll(state string, names []string) error {
	records, err := processes(state).All()
	if err != nil {
		return err
	}
	var pids []int
	for _, r := range records {
		if r.Running() {
			pids = append(pids, r.PID)
		}
	}
	if err := kill(pids); err != nil {
		return err
	}
	for _, node := range Nodes() {
		if err := removeCgroups(node.Name); err != nil {
			return err
		}
	}
	// What a namespace's last processes start while they end is in it, too.
	return eventuallyNone(func() ([]int, error) {
		inside, err := namespace.Pids(names)
		own := process.Ancestors(os.Getpid())
		return slices.DeleteFunc(inside, func(pid int) bool { return slices.Contains(own, pid) }), err
	})
}

// eventuallyNone kills what find returns until it returns nothing.
func eventuallyNone(find func() ([]int, error)) error {
	for deadline := time.Now().Add(15 * time.Second); ; {
		pids, err := find()
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("stopping the lab: processes %v do not end", pids)
		}
		if err := kill(pids); err != nil {
			return err
		}
	}
}

// kill ends processes and waits a while for them to be gone.
func kill(pids []int) error {
	for _, pid := range pids {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("stopping process %d: %w", pid, err)
		}
	}
	process.WaitGone(pids, 5*time.Second)
	return nil
}
