package lab

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/kontena/network-lb/lab/process"
)

// cgroupName is the control group that all pods of a node live under, in every hierarchy.
func cgroupName(node string) string { return Prefix + node }

// hierarchy is a mounted control group file system.
type hierarchy struct {
	path string
	v2   bool
}

// cgroupRoot is where kubelet and runc look for them. The same ones may be mounted elsewhere too, in a chroot say.
const cgroupRoot = "/sys/fs/cgroup"

// hierarchies lists them: one for each controller with version 1 (and a version 2 one without controllers
// beside them), a single one with version 2.
func hierarchies() ([]hierarchy, error) {
	f, err := os.Open("/proc/self/mounts")
	if err != nil {
		return nil, fmt.Errorf("listing control group hierarchies: %w", err)
	}
	defer func() { _ = f.Close() }()
	var all []hierarchy
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) > 2 &&
			strings.HasPrefix(fields[2], "cgroup") && strings.HasPrefix(fields[1], cgroupRoot) {
			all = append(all, hierarchy{path: fields[1], v2: fields[2] == "cgroup2"})
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("finding control groups: none is mounted at %s, see cgroups(7)", cgroupRoot)
	}
	return all, nil
}

// makeCgroups makes the node's control group in every hierarchy.
func makeCgroups(node string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		if err := h.add(cgroupName(node)); err != nil {
			return fmt.Errorf("making the control group of %s: %w", node, err)
		}
	}
	return nil
}

func (h hierarchy) add(name string) error {
	group := filepath.Join(h.path, name)
	if h.v2 {
		if err := h.delegate(h.path); err != nil {
			return err
		}
	}
	if err := os.Mkdir(group, 0o755); err != nil {
		return err
	}
	if h.v2 {
		return h.delegate(group)
	}
	// A version 1 cpuset starts without processors and memory, and nothing can run in it.
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		data, err := os.ReadFile(filepath.Join(h.path, file))
		if errors.Is(err, fs.ErrNotExist) {
			continue // another controller's hierarchy
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(group, file), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// delegate lets the groups below use the controllers that kubelet needs.
func (h hierarchy) delegate(group string) error {
	data, err := os.ReadFile(filepath.Join(group, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, controller := range strings.Fields(string(data)) {
		if !slices.Contains([]string{"cpuset", "cpu", "io", "memory", "hugetlb", "pids"}, controller) {
			continue
		}
		if err := os.WriteFile(filepath.Join(group, "cgroup.subtree_control"), []byte("+"+controller), 0o644); err != nil {
			return fmt.Errorf("delegating %s: %w", controller, err)
		}
	}
	return nil
}

// removeCgroups kills what runs in the node's control groups and removes them.
func removeCgroups(node string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		if err := removeCgroup(filepath.Join(h.path, cgroupName(node))); err != nil {
			return fmt.Errorf("removing the control group of %s: %w", node, err)
		}
	}
	return nil
}

func removeCgroup(top string) error {
	// A process may make more while it dies, so look again until nothing is left.
	for deadline := time.Now().Add(10 * time.Second); ; {
		groups, pids, err := cgroupTree(top)
		if err != nil || len(groups) == 0 {
			return err
		}
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL) // ended meanwhile: just as well
		}
		process.WaitGone(pids, time.Second)
		var last error
		for _, group := range slices.Backward(groups) {
			if err := os.Remove(group); err != nil && !errors.Is(err, fs.ErrNotExist) {
				last = err
			}
		}
		if last != nil && time.Now().After(deadline) {
			return last
		}
	}
}

// cgroupTree lists a group and those below, parents first, and the processes in them.
func cgroupTree(top string) (groups []string, pids []int, err error) {
	err = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone since
		}
		if err != nil || !d.IsDir() {
			return err
		}
		groups = append(groups, path)
		data, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
			return nil // gone since
		}
		if err != nil {
			return err
		}
		for _, field := range strings.Fields(string(data)) {
			if pid, err := strconv.Atoi(field); err == nil {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return groups, pids, err
}
