package controller

// Status is what a person can look at.
type Status struct {
	Leading bool         `json:"leading"`
	Config  ConfigStatus `json:"config"`
	Pools   []PoolStatus `json:"pools,omitempty"`
	// Speakers counts the speakers' reports, while this replica leads.
	Speakers SpeakersStatus `json:"speakers"`
}

// SpeakersStatus counts the speakers' reports, and those of them that count: of this installation, and of speakers that
// are Ready.
type SpeakersStatus struct {
	Reports int `json:"reports"`
	Counted int `json:"counted"`
	// Awaited says that Services without an address wait for the first reports of a new installation.
	Awaited bool `json:"awaited,omitempty"`
}

// ConfigStatus says which configuration is in force.
type ConfigStatus struct {
	// Generation counts the accepted documents; 0 with a file, or before the first.
	Generation int64 `json:"generation"`
	// Problem says why what is written in the ConfigMap is not in force; empty: it is.
	Problem string `json:"problem,omitempty"`
}

// PoolStatus counts the addresses of one family of a pool. Size is a decimal number of any length.
type PoolStatus struct {
	Pool   string `json:"pool"`
	Family string `json:"family"`
	Size   string `json:"size"`
	InUse  int    `json:"in_use"`
}

// Status returns the controller's present state; pools are shown by the replica that leads.
func (c *Controller) Status() Status {
	c.mu.Lock()
	allocator, documents, leading := c.allocator, c.documents, c.leading
	c.mu.Unlock()
	s := Status{Leading: leading, Speakers: c.speakers.status()}
	if documents.kept != nil {
		s.Config.Generation = documents.kept.Generation
	}
	if problem := documents.problem(); problem != nil {
		s.Config.Problem = problem.Error()
	}
	if allocator != nil {
		for _, u := range allocator.Usage() {
			s.Pools = append(s.Pools, PoolStatus{Pool: u.Pool, Family: u.Family.String(), Size: u.Size.String(), InUse: u.InUse})
		}
	}
	return s
}
