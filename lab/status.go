package lab

import "github.com/kontena/network-lb/lab/process"

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

// healthy reports whether all programs run.
func (c *Cluster) healthy() bool {
	all, err := c.Processes()
	if err != nil || len(all) == 0 {
		return false
	}
	for _, p := range all {
		if !p.Alive {
			return false
		}
	}
	return true
}
