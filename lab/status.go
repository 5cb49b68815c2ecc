package lab

import (
	"errors"
	"fmt"

	"github.com/kontena/network-lb/lab/process"
)

// ProcessStatus is one of the lab's programs.
type ProcessStatus struct {
	process.Record
	Alive bool
	Log   string // file
}

// Processes lists the programs that Up started, by name.
func (c *Cluster) Processes() ([]ProcessStatus, error) {
	records, err := c.processes().All()
	if err != nil {
		return nil, err
	}
	all := make([]ProcessStatus, 0, len(records))
	for _, r := range records {
		all = append(all, ProcessStatus{Record: r, Alive: r.Running(), Log: c.processes().LogFile(r.Name)})
	}
	return all, nil
}

// Check returns an error for each program of the lab that has ended by itself, with the end of its log.
func (c *Cluster) Check() error {
	all, err := c.Processes()
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return errors.New("none of the lab's programs runs")
	}
	var errs []error
	for _, p := range all {
		if !p.Alive {
			errs = append(errs, fmt.Errorf("%s (process %d) has ended; its log ends with\n%s", p.Name, p.PID, c.logTail(p.Name)))
		}
	}
	return errors.Join(errs...)
}
