package namespace

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// Pids returns the processes whose network namespace is one of the named ones.
func Pids(names []string) ([]int, error) {
	type inode struct{ dev, ino uint64 }
	inside := map[inode]bool{}
	for _, name := range names {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(netDir, name), &st); err == nil {
			inside[inode{st.Dev, st.Ino}] = true
		}
	}
	proc, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	var pids []int
	for _, entry := range proc {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue // not a process
		}
		var st unix.Stat_t
		if err := unix.Stat(fmt.Sprintf("/proc/%d/ns/net", pid), &st); err == nil && inside[inode{st.Dev, st.Ino}] {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
