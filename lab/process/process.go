// Package process runs long-lived programs that outlive their starter, and later stops exactly those: each has
// a record with its PID, start time and command line, and a log file.
package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/kontena/network-lb/lab/namespace"
)

// Command is a program to run.
type Command struct {
	Name string // of its record and log, unique in the group
	Path string // of the executable, absolute
	Args []string
	Env  []string // added to the starter's
	In   namespace.Host
}

// Group keeps the records and logs of the processes that belong together.
type Group struct {
	Records string // folder of NAME.json
	Logs    string // folder of NAME.log, appended to
}

// Record identifies a process beyond doubt: PIDs are used again, but not with the same start time.
type Record struct {
	Name  string   `json:"name"`
	PID   int      `json:"pid"`
	Start uint64   `json:"start"` // clock ticks since boot
	Argv  []string `json:"argv"`
}

// Start runs a command in a session of its own, so that neither its starter's end nor the terminal's reaches it.
func (g Group) Start(c Command) error {
	for _, dir := range []string{g.Records, g.Logs} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("starting %s: %w", c.Name, err)
		}
	}
	log, err := os.OpenFile(g.LogFile(c.Name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("starting %s: %w", c.Name, err)
	}
	defer func() { _ = log.Close() }() // the process has its own
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.In.Do(cmd.Start); err != nil {
		return fmt.Errorf("starting %s: %w", c.Name, err)
	}
	if err := g.record(c.Name, cmd); err != nil {
		return errors.Join(fmt.Errorf("recording %s: %w", c.Name, err), cmd.Process.Kill(), cmd.Wait())
	}
	go g.reap(c.Name, cmd)
	return nil
}

// reap waits for the end of a process, while this program lives, and says in its log how it ended.
func (g Group) reap(name string, cmd *exec.Cmd) {
	_ = cmd.Wait() // the state says more
	log, err := os.OpenFile(g.LogFile(name), os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return // the log has gone with the lab
	}
	_, _ = fmt.Fprintf(log, "%s process %d ended: %v\n", time.Now().UTC().Format(time.RFC3339Nano), cmd.Process.Pid, cmd.ProcessState)
	_ = log.Close()
}

func (g Group) record(name string, cmd *exec.Cmd) error {
	stat, err := readStat(cmd.Process.Pid)
	if err != nil {
		return err
	}
	data, err := json.Marshal(Record{Name: name, PID: cmd.Process.Pid, Start: stat.start, Argv: cmd.Args})
	if err != nil {
		return err
	}
	return os.WriteFile(g.recordFile(name), data, 0o644)
}

// LogFile is where the named process writes its output.
func (g Group) LogFile(name string) string { return filepath.Join(g.Logs, name+".log") }

func (g Group) recordFile(name string) string { return filepath.Join(g.Records, name+".json") }

// All returns every process that was started and not stopped, alive or dead, by name.
func (g Group) All() ([]Record, error) {
	files, err := filepath.Glob(filepath.Join(g.Records, "*.json"))
	if err != nil {
		return nil, err
	}
	records := make([]Record, 0, len(files))
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading process records: %w", err)
		}
		var r Record
		if err := json.Unmarshal(data, &r); err != nil {
			continue // half written by a crash: such a process is found by its namespace
		}
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b Record) int { return strings.Compare(a.Name, b.Name) })
	return records, nil
}

// Find returns the record of a process.
func (g Group) Find(name string) (Record, error) {
	var r Record
	data, err := os.ReadFile(g.recordFile(name))
	if err != nil {
		return r, fmt.Errorf("finding process %s: %w", name, err)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("finding process %s: %w", name, err)
	}
	return r, nil
}

// Stop ends a process by the signal, waits for its end and removes its record. A process that is no longer
// there is no error.
func (g Group) Stop(name string, sig syscall.Signal, patience time.Duration) error {
	r, err := g.Find(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := r.Signal(sig); err != nil {
		return err
	}
	if !r.waitGone(patience) {
		return fmt.Errorf("stopping %s: process %d still runs %s after signal %v", name, r.PID, patience, sig)
	}
	return os.Remove(g.recordFile(name))
}
