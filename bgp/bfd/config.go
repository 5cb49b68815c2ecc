package bfd

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Parameters of a session may change while it runs. Zero values mean the defaults.
type Parameters struct {
	// Receive is the shortest interval between packets that this end can take in (RequiredMinRxInterval), 10 ms to
	// 60 s; 0 for 300 ms.
	Receive time.Duration
	// Transmit is the shortest interval between packets that this end wants to send at (DesiredMinTxInterval), 10 ms
	// to 60 s; 0 for 300 ms. What is sent is the longer one of this and what the neighbour can take in.
	Transmit time.Duration
	// Multiplier is how many packets in a row the neighbour may miss before it takes this end for dead; 0 for 3.
	Multiplier uint8
	// MinimumTTL is the smallest TTL, or hop limit, with which packets are accepted over several hops; 0 for 254. A
	// single-hop session accepts 255 only, whatever stands here (RFC 5881 section 5). BIRD sends with the system's
	// default TTL over several hops, mostly 64, and needs a lower one.
	MinimumTTL uint8
	// Passive waits for the neighbour to send first (RFC 5880 section 6.1).
	Passive bool
}

// The defaults of Parameters.
const (
	DefaultInterval   = 300 * time.Millisecond
	DefaultMultiplier = 3
	DefaultMinimumTTL = 254

	minInterval = 10 * time.Millisecond
	maxInterval = time.Minute
)

func (p Parameters) withDefaults() Parameters {
	if p.Receive == 0 {
		p.Receive = DefaultInterval
	}
	if p.Transmit == 0 {
		p.Transmit = DefaultInterval
	}
	if p.Multiplier == 0 {
		p.Multiplier = DefaultMultiplier
	}
	if p.MinimumTTL == 0 {
		p.MinimumTTL = DefaultMinimumTTL
	}
	return p
}

func (p Parameters) validate() error {
	check := func(name string, d time.Duration) error {
		if d < minInterval || d > maxInterval {
			return fmt.Errorf("%s: an interval of %v: write %v to %v", name, d, minInterval, maxInterval)
		}
		return nil
	}
	return errors.Join(check("receive", p.Receive), check("transmit", p.Transmit))
}

// Config says whom a session watches, and how.
type Config struct {
	// Local is this node's address, Remote the neighbour's, of the same family. One session watches one pair.
	Local, Remote netip.Addr
	// Interface is where a connected neighbour is; packets from elsewhere are not its. Empty: any interface. A
	// link-local neighbour needs it, here or as the zone of Remote. It plays no part over several hops.
	Interface string
	// Multihop is for a neighbour that is not connected: UDP port 4784 in place of 3784, and MinimumTTL.
	Multihop bool

	Parameters
}

// normalised has no zones and no defaults left to fill in.
func (c Config) normalised() (Config, error) {
	var errs []error
	c.Local, c.Remote = c.Local.Unmap(), c.Remote.Unmap()
	for _, a := range []struct {
		field string
		addr  netip.Addr
	}{{"local", c.Local}, {"remote", c.Remote}} {
		if !a.addr.IsValid() || a.addr.IsUnspecified() || a.addr.IsMulticast() {
			errs = append(errs, fmt.Errorf("%s: %v: write the address of a single system", a.field, a.addr))
		}
	}
	if c.Local.IsValid() && c.Remote.IsValid() && c.Local.Is4() != c.Remote.Is4() {
		errs = append(errs, fmt.Errorf("local: %v is not of the family of the remote address, %v", c.Local, c.Remote))
	}
	if c.Interface == "" {
		c.Interface = c.Remote.Zone()
	}
	if zone := c.Remote.Zone(); zone != "" && zone != c.Interface {
		errs = append(errs, fmt.Errorf("interface: %q is not the zone of %v", c.Interface, c.Remote))
	}
	switch linkLocal := c.Remote.Is6() && c.Remote.IsLinkLocalUnicast(); {
	case linkLocal && c.Multihop:
		errs = append(errs, fmt.Errorf("multihop: no other link than its own reaches %v", c.Remote))
	case linkLocal && c.Interface == "":
		errs = append(errs, fmt.Errorf("interface: %v needs one, since it is link-local", c.Remote))
	}
	if c.Multihop {
		c.Interface = ""
	}
	c.Local, c.Remote = c.Local.WithZone(""), c.Remote.WithZone("")
	c.Parameters = c.withDefaults()
	errs = append(errs, c.validate())
	return c, errors.Join(errs...)
}
