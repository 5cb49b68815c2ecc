package bgp

import (
	"fmt"
	"math"
)

// Bandwidth is that of the link behind a route, in bytes per second. A router that has several routes of one prefix and
// the bandwidth of each may send each its share of the traffic. It is sent as a link bandwidth extended community
// (draft-ietf-idr-link-bandwidth, type 0x40, subtype 0x04) with our ASN on the session, or AS_TRANS (23456, RFC 6793) where
// that has four bytes. The zero value is not sent.
type Bandwidth float32

// Mbps is a megabit per second, the unit in which routers show it.
const Mbps Bandwidth = 125_000

// String is the bandwidth in megabits per second, or "none".
func (b Bandwidth) String() string {
	if b == 0 {
		return "none"
	}
	return fmt.Sprintf("%g Mbit/s", float64(b/Mbps))
}

// or returns the first of two that is set, and whether they contradict each other.
func (b Bandwidth) or(other Bandwidth) (value Bandwidth, clash bool) {
	if b == 0 {
		return other, false
	}
	return b, other != 0 && other != b
}

// validate says what is wrong with it. Some routers keep it in 32 bits.
func (b Bandwidth) validate() error {
	if b < 0 || b > math.MaxUint32 || math.IsNaN(float64(b)) {
		return fmt.Errorf("bandwidth of %g: want bytes per second, more than 0 and at most %d, or 0 for none", float32(b), uint32(math.MaxUint32))
	}
	return nil
}
