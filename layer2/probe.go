package layer2

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// ProbeOptions are optional: the zero value is good.
type ProbeOptions struct {
	Count    int           // of probes for an address on an interface; 0 for 3
	Interval time.Duration // between them, and after the last for its answers; 0 for 50 ms
}

const (
	probeSpacing = time.Millisecond // between the probes for two addresses
	standstills  = 5                // that are listened on after, at most: a machine may be too busy all the time
	probeLinger  = 5 * time.Second  // for which an address stays listened for, as the next probe may follow soon
)

// ProbeResult is what the probes for one address found.
type ProbeResult struct {
	Addr netip.Addr
	// Answers are the stations that said that they have it, each once on an interface, in the order of hearing;
	// this machine's own interfaces are not among them.
	Answers []Answer
	// Err is what kept probes from being sent: a *NoInterfaceError, or an interface that takes none. Then no answer
	// says nothing.
	Err error
}

// Answer is a station that has an address.
type Answer struct {
	MAC       MAC
	Interface string
}

// Probe asks the neighbours who has the claims' addresses, without changing what they believe: by ARP probes (RFC 5227
// §2.1.1) and by neighbour solicitations as of duplicate address detection (RFC 4862 §5.4.2). It asks on the interfaces
// on which each would be answered, returns a result for each in their order, and takes ProbeOptions.Count times
// Interval, longer for more than 50 addresses: between two of them it waits a millisecond. The addresses need not be
// claimed. Another station that probes for the same address is not taken for one that has it, so that two that are
// about to take over do not stop each other. The error is ctx's, or net.ErrClosed.
func (r *Responder) Probe(ctx context.Context, o ProbeOptions, claims ...Claim) ([]ProbeResult, error) {
	if o.Count <= 0 {
		o.Count = 3
	}
	if o.Interval <= 0 {
		o.Interval = 50 * time.Millisecond
	}
	probes, err := r.startProbes(claims, time.Duration(o.Count)*(o.Interval+time.Duration(len(claims))*probeSpacing))
	if err != nil {
		return nil, err
	}
	defer r.probing.remove(probes)
	var next time.Time
	for range o.Count {
		if err := r.wait(ctx, time.Until(next)); err != nil {
			return nil, err
		}
		next = time.Now().Add(o.Interval)
		for i, p := range probes {
			if err := r.wait(ctx, time.Duration(min(i, 1))*probeSpacing); err != nil {
				return nil, err
			}
			r.sendProbe(p)
		}
	}
	// A process that stood still while the answers came has yet to read them, and so listens for as long again.
	for late, n := true, 0; late && n < standstills; n++ {
		if err := r.wait(ctx, time.Until(next)); err != nil {
			return nil, err
		}
		late = time.Since(next) > o.Interval/2
		next = time.Now().Add(o.Interval)
	}
	return r.probing.results(probes), nil
}

// probing is the probes under way.
type probing struct {
	mu      sync.Mutex
	waiting map[spot][]*addressProbe
}

type addressProbe struct {
	result ProbeResult // under probing's lock, as is failed
	failed map[int]bool
	links  []Link
}

// startProbes listens for the answers to probes that will be done after that time.
func (r *Responder) startProbes(claims []Claim, during time.Duration) ([]*addressProbe, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, net.ErrClosed
	}
	links, _ := r.transport.Links()
	chooser, until := newChooser(links, r.exclude), time.Now().Add(during+probeLinger)
	probes := make([]*addressProbe, 0, len(claims))
	fresh := false
	for _, c := range claims {
		c.Addr = c.Addr.Unmap().WithZone("")
		p := &addressProbe{result: ProbeResult{Addr: c.Addr}, failed: map[int]bool{}}
		probes = append(probes, p)
		if p.result.Err = c.validate(); p.result.Err == nil {
			p.links, p.result.Err = chooser.choose(c)
		}
		for _, l := range p.links {
			s := spot{l.Index, c.Addr}
			if _, ok := r.probed[s]; !ok {
				fresh = true
			}
			r.probed[s] = until
		}
	}
	r.probing.add(probes)
	if fresh {
		r.transport.Listen(r.listening())
		r.poke()
	}
	return probes, nil
}

// forgetProbed stops listening for addresses whose probes are long done, and says when it has to be called again, if
// ever. r.mu is held.
func (r *Responder) forgetProbed(now time.Time) time.Time {
	var next time.Time
	before := len(r.probed)
	for s, until := range r.probed {
		switch {
		case !until.After(now):
			delete(r.probed, s)
		case next.IsZero() || until.Before(next):
			next = until
		}
	}
	if len(r.probed) < before && !r.closed {
		r.transport.Listen(r.listening())
	}
	return next
}

func (r *Responder) sendProbe(p *addressProbe) {
	for _, l := range p.links {
		err := r.transport.Send(probe(l.Index, l.MAC, p.result.Addr))
		r.answers.count(l.Index, probeFrames, err)
		if err != nil {
			r.probing.fail(p, l.Index, fmt.Errorf("probing for %v on %s: %w", p.result.Addr, l.Name, err))
		}
	}
}

// wait waits for d, or fails when it may not.
func (r *Responder) wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.stop:
		return net.ErrClosed
	}
}

func (p *probing) add(probes []*addressProbe) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range probes {
		for _, l := range a.links {
			s := spot{l.Index, a.result.Addr}
			p.waiting[s] = append(p.waiting[s], a)
		}
	}
}

func (p *probing) remove(probes []*addressProbe) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range probes {
		for _, l := range a.links {
			s := spot{l.Index, a.result.Addr}
			p.waiting[s] = slices.DeleteFunc(p.waiting[s], func(w *addressProbe) bool { return w == a })
			if len(p.waiting[s]) == 0 {
				delete(p.waiting, s)
			}
		}
	}
}

// heard takes note of a station that says that the address of s is at mac.
func (p *probing) heard(s spot, mac MAC) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.waiting[s] {
		i := slices.IndexFunc(a.links, func(l Link) bool { return l.Index == s.link })
		answer := Answer{mac, a.links[i].Name}
		if !slices.Contains(a.result.Answers, answer) {
			a.result.Answers = append(a.result.Answers, answer)
		}
	}
}

// fail keeps the first reason of each interface.
func (p *probing) fail(a *addressProbe, link int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !a.failed[link] {
		a.failed[link] = true
		a.result.Err = errors.Join(a.result.Err, err)
	}
}

func (p *probing) results(probes []*addressProbe) []ProbeResult {
	p.mu.Lock()
	defer p.mu.Unlock()
	results := make([]ProbeResult, 0, len(probes))
	for _, a := range probes {
		results = append(results, a.result)
	}
	return results
}
