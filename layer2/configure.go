package layer2

import (
	"slices"
	"time"
)

// Configure replaces Options' Exclude and Rate while it runs. What is claimed is chosen anew where it is answered; the
// same again changes nothing.
func (r *Responder) Configure(exclude []string, rate int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rate <= 0 {
		rate = defaultRate
	}
	exclude = slices.Concat(ContainerInterfaces, exclude)
	if r.closed || rate == r.rate && slices.Equal(exclude, r.exclude) {
		return
	}
	r.exclude, r.rate = exclude, rate
	for _, st := range r.stations {
		st.schedule.frame = time.Second / time.Duration(rate)
	}
	links, _ := r.transport.Links()
	r.reconcile(links, time.Now())
}
