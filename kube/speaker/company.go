package speaker

import (
	"errors"
	"net/netip"
	"path"
	"slices"
	"time"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/announce/members"
	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/layer2"
)

// company is what is known of the speakers at one moment. Nobody changes it.
type company struct {
	silent   error // why this speaker may not answer now
	lapsed   bool  // it stood still, and may answer again from now on
	members  []members.Member
	alive    map[string]members.State // the others that are alive and have told
	suspects []members.Member         // that do not take part, or have not told, and may answer all the same
	mute     bool                     // one of these that may answer has never told its MAC addresses
	byMAC    map[layer2.MAC]string    // whose interface it is; this node's are not there
	restarts map[string]bool          // the speakers that restart; false: their time is over
}

// look looks at the membership, if there is one to be, and puts what it knows into the view.
func (f *fellows) look(cfg config.Config, v *announce.View) *company {
	now := &company{}
	if f.wanted.Load() {
		now = f.company(v.Nodes)
		v.Silent = now.silent != nil
		v.Members = append(now.values(f.opts.Node), announce.Member{
			Node: f.opts.Node, Presence: announce.Alive, Known: true, Draining: f.draining || f.ending, Unproven: f.unproven,
			Restarting: f.restarts() > 0, Links: f.links(cfg), Held: f.claimed(), Standing: f.standing,
		})
	}
	f.mu.Lock()
	f.last = now
	f.mu.Unlock()
	return now
}

func (f *fellows) company(nodes []announce.Node) *company {
	m := f.membership()
	if m == nil {
		return &company{silent: f.problem}
	}
	lapses := m.Counters().ClockLapses
	view, _ := m.View()
	before := f.seen()
	if errors.Is(view.Silent, members.ErrStarting) && f.decided && time.Now().Before(f.bridge) && before.silent == nil {
		return before
	}
	f.bridge = time.Time{}
	if lapses != f.lapses { // it may already be back among the others: still it answers for nothing before it has asked
		f.lapses, f.stalled = lapses, true
		if view.Silent == nil {
			view.Silent = members.ErrClockLapse
			f.wake()
		}
	}
	stalled := f.stalled
	f.stalled = stalled && view.Silent != nil
	c := newCompany(view, f.opts.Node, f.vigil.judge)
	c.lapsed = stalled && view.Silent == nil
	c.mute = slices.ContainsFunc(c.suspects, func(m members.Member) bool { return !m.Known && mayAnswer(m, nodes) })
	return c
}

// unmet is for how long a speaker that nobody has met may answer for addresses although its Pod is not Ready.
const unmet = time.Minute

// mayAnswer says of a speaker that nobody has met whether it may answer all the same. One that has not been Ready for long
// is not there: it would keep addresses from being taken for which a stranger answers.
func mayAnswer(m members.Member, nodes []announce.Node) bool {
	return time.Since(m.Since) < unmet ||
		slices.ContainsFunc(nodes, func(n announce.Node) bool { return n.Name == m.Node && n.Ready && n.Speaker })
}

// newCompany judges the members. judge says which of them restart, and whether their nodes keep what they held.
func newCompany(view members.View, self string, judge func(members.Member) (restarts, keeps bool)) *company {
	c := &company{silent: view.Silent, members: view.Members, alive: map[string]members.State{}, byMAC: map[layer2.MAC]string{},
		restarts: map[string]bool{}}
	for _, m := range view.Members {
		if m.Node == self {
			continue
		}
		for _, l := range m.State.Interfaces {
			if c.byMAC[l.MAC] == "" || m.Presence == members.Alive { // a machine may be there under another name than before
				c.byMAC[l.MAC] = m.Node
			}
		}
		restarts, keeps := judge(m)
		if restarts {
			c.restarts[m.Node] = keeps
		}
		switch {
		case restarts && !keeps && m.Presence != members.Gone:
			c.suspects = append(c.suspects, m)
		case m.Presence == members.Alive && m.Known:
			c.alive[m.Node] = m.State
		case m.Presence == members.Alive, m.Presence == members.Lost, m.Presence == members.Missing:
			c.suspects = append(c.suspects, m)
		}
	}
	return c
}

var presences = map[members.Presence]announce.Presence{
	members.Missing: announce.Missing, members.Alive: announce.Alive,
	members.Lost: announce.Lost, members.Left: announce.Lost, members.Gone: announce.Lost,
}

// values are the members, but for this one.
func (c *company) values(self string) []announce.Member {
	out := make([]announce.Member, 0, len(c.members)+1)
	for _, m := range c.members {
		if m.Node != self {
			one := announce.Member{
				Node: m.Node, Presence: presences[m.Presence], Known: m.Known, Starting: m.State.Starting, Draining: m.State.Draining,
				Unproven: m.State.Unproven, Links: m.State.Interfaces, Held: m.State.Held, Standing: m.State.Standing,
			}
			if keeps, restarts := c.restarts[m.Node]; keeps {
				one.Restarting, one.Draining = true, false // it says that it drains for those that do not know of restarts
			} else if restarts {
				one.Held = nil // it has not taken it back
			}
			out = append(out, one)
		}
	}
	return out
}

// lastHolder is the suspect that held the address when it last told; "" for none.
func (c *company) lastHolder(addr netip.Addr) string {
	for _, m := range c.suspects {
		if m.State.Holds(addr) {
			return m.Node
		}
	}
	return ""
}

// holds reports whether another speaker answers for the address, or may.
func (c *company) holds(addr netip.Addr) bool {
	for _, m := range c.alive {
		if m.Holds(addr) {
			return true
		}
	}
	return c.lastHolder(addr) != ""
}

// answers reports whether a speaker answers for an address and is not known to, and which; "" for one that has never
// told its MAC addresses.
func (c *company) answers(r layer2.ProbeResult) (node string, yes bool) {
	for _, a := range r.Answers {
		name, fellow := c.byMAC[a.MAC]
		if m, met := c.alive[name]; fellow && !(met && m.Holds(r.Addr)) {
			return name, true
		}
		yes = yes || !fellow && c.mute
	}
	return "", yes
}

// links are the node's interfaces as the others have to know them: without those that answer for nothing, as the ports of a
// bridge, and those of container networks, unless a pool names one. Such come and go with Pods.
func (f *fellows) links(cfg config.Config) []layer2.Link {
	if f.opts.Links == nil {
		return nil
	}
	all, _ := f.opts.Links()
	excluded := slices.Concat(layer2.ContainerInterfaces, cfg.ExcludeInterfaces)
	var out []layer2.Link
	for _, l := range all {
		if l.Enslaved || l.MAC == (layer2.MAC{}) {
			continue
		}
		outside := slices.ContainsFunc(excluded, func(glob string) bool {
			matches, err := path.Match(glob, l.Name)
			return matches && err == nil
		})
		named := func(p config.Pool) bool { return slices.Contains(p.Interfaces, l.Name) }
		if !outside || slices.ContainsFunc(cfg.Pools, named) {
			out = append(out, layer2.Link{
				Name: l.Name, MAC: l.MAC, Up: l.Up, Carrier: l.Carrier, Broadcast: l.Broadcast,
				Addrs: l.Addrs, Default4: l.Default4, Default6: l.Default6,
			})
		}
	}
	return out
}

// tell has the others know what this speaker answers for from now on. What it still asks for is undecided.
func (f *fellows) tell(cfg config.Config, claims []layer2.Claim, asked map[netip.Addr]string) {
	f.answerFor(claims)
	f.settle(asked)
	if m := f.membership(); m != nil {
		m.Set(f.state(cfg))
	}
}

// state is what the others are told.
func (f *fellows) state(cfg config.Config) members.State {
	return members.State{Interfaces: f.links(cfg), Held: f.claimed(), Starting: !f.decided, Draining: f.draining || f.ending || f.restarting > 0,
		Unproven: f.unproven, Restarting: f.restarts(), Standing: f.standing}
}
