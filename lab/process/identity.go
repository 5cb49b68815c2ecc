package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Running reports whether the very process of the record still runs: same PID, start time and command line.
func (r Record) Running() bool {
	stat, err := readStat(r.PID)
	if err != nil || stat.zombie || stat.start != r.Start {
		return false
	}
	argv, err := readArgv(r.PID)
	// For a moment after its start a process has no command line yet.
	return err == nil && (len(argv) == 0 || slices.Equal(argv, r.Argv))
}

// Signal sends a signal to the process of the record and to nobody else: if it has ended, nothing happens.
func (r Record) Signal(sig syscall.Signal) error {
	if !r.Running() {
		return nil
	}
	if err := syscall.Kill(r.PID, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("sending %v to %s (process %d): %w", sig, r.Name, r.PID, err)
	}
	return nil
}

func (r Record) waitGone(patience time.Duration) bool {
	return WaitGone([]int{r.PID}, patience)
}

// WaitGone waits until none of the processes runs any more, and reports whether that came true in time.
func WaitGone(pids []int, patience time.Duration) bool {
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		pids = slices.DeleteFunc(slices.Clone(pids), func(pid int) bool {
			stat, err := readStat(pid)
			return err != nil || stat.zombie
		})
		if len(pids) == 0 {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

// stat is what matters of /proc/PID/stat.
type stat struct {
	zombie bool
	parent int
	start  uint64
}

func readStat(pid int) (stat, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(string(data))
}

// parseStat reads proc_pid_stat(5). The second field is the program's name in parentheses, which may itself
// hold spaces and parentheses; the third is the state, the 4th the parent and the 22nd the start time.
func parseStat(line string) (stat, error) {
	fields := afterName(line)
	if len(fields) < 20 {
		return stat{}, fmt.Errorf("reading process state: unexpected %q", line)
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return stat{}, fmt.Errorf("reading process state: parent %w", err)
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return stat{}, fmt.Errorf("reading process state: start time %w", err)
	}
	return stat{zombie: fields[0] == "Z" || fields[0] == "X", parent: parent, start: start}, nil
}

// afterName returns the fields of proc_pid_stat(5) from the third on.
func afterName(line string) []string {
	return strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
}

// readArgv returns the command line of a process.
func readArgv(pid int) ([]string, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || len(data) == 0 {
		return nil, err
	}
	var argv []string
	for _, arg := range bytes.Split(bytes.TrimSuffix(data, []byte{0}), []byte{0}) {
		argv = append(argv, string(arg))
	}
	return argv, nil
}

// Ancestors returns the process, its parent and so on up to the first one.
func Ancestors(pid int) []int {
	var line []int
	for pid > 0 {
		line = append(line, pid)
		stat, err := readStat(pid)
		if err != nil {
			break
		}
		pid = stat.parent
	}
	return line
}
