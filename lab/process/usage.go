package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// CPU returns the processor time that a process has used, of all its threads: utime and stime of proc_pid_stat(5).
func CPU(pid int) (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("reading the processor time of process %d: %w", pid, err)
	}
	fields := afterName(string(data))
	if len(fields) < 13 {
		return 0, fmt.Errorf("reading the processor time of process %d: unexpected %q", pid, data)
	}
	var ticks time.Duration
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading the processor time of process %d: %w", pid, err)
		}
		ticks += time.Duration(n)
	}
	return ticks * time.Second / 100, nil // clock ticks as Linux shows them
}

// Memory returns one of a process's sizes in MiB, by its name in proc_pid_status(5), such as VmRSS.
func Memory(pid int, field string) (int, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("reading the memory of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(data)) {
		if text, ok := strings.CutPrefix(line, field+":"); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(text), " kB"))
			if err != nil {
				return 0, fmt.Errorf("reading the memory of process %d: %w", pid, err)
			}
			return kib / 1024, nil
		}
	}
	return 0, fmt.Errorf("reading the memory of process %d: no %s", pid, field)
}

// Started returns when a process began, to a hundredth of a second.
func Started(pid int) (time.Time, error) {
	stat, err := readStat(pid)
	if err != nil {
		return time.Time{}, fmt.Errorf("asking when process %d began: %w", pid, err)
	}
	uptime, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return time.Time{}, fmt.Errorf("asking when process %d began: %w", pid, err)
	}
	now := time.Now()
	up, err := strconv.ParseFloat(strings.Fields(string(uptime))[0], 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("asking when process %d began: %w", pid, err)
	}
	return now.Add(time.Duration(float64(stat.start)/100*1e9) - time.Duration(up*1e9)), nil
}
