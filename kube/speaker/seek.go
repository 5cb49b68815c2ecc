package speaker

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/kontena/network-lb/announce/members"
	"github.com/kontena/network-lb/layer2"
)

const (
	seekEvery = 300 * time.Millisecond
	seekLong  = time.Hour // who is lost for longer is found by the membership alone
)

// seek asks the neighbours, as long as this node holds what a lost speaker held, for the addresses of such speakers'
// nodes, one after the other. After two halves of a network were joined both answer until they meet. A kernel that has
// looked for the other node in vain asks again only each second; the answer to this question tells it at once, whoever
// asked, so that the packets that the membership sends meanwhile are delivered.
func (c *caution) seek(ctx context.Context, company *company, held []netip.Addr) {
	var apart []layer2.Claim
	for _, m := range company.suspects {
		common := func(a netip.Addr) bool { return m.State.Holds(a) }
		if m.Presence == members.Lost && time.Since(m.Since) < seekLong && slices.ContainsFunc(held, common) {
			apart = append(apart, layer2.Claim{Addr: m.Addr.Addr()})
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.apart = apart
	if len(apart) > 0 && !c.seeking {
		c.seeking = true
		go c.seekAll(ctx)
	}
}

func (c *caution) seekAll(ctx context.Context) {
	for i := 0; ; i++ {
		c.mu.Lock()
		if len(c.apart) == 0 || ctx.Err() != nil {
			c.seeking = false
			c.mu.Unlock()
			return
		}
		one := c.apart[i%len(c.apart)]
		c.mu.Unlock()
		// Who answers does not matter, nor does an interface that takes no frames: it is tried again.
		if _, err := c.neighbours.Probe(ctx, layer2.ProbeOptions{Count: 1, Interval: seekEvery}, one); err != nil {
			c.mu.Lock()
			c.apart = nil // this process ends
			c.mu.Unlock()
		}
	}
}
