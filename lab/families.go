package lab

import (
	"fmt"
	"strings"
)

// Families says which families of IP addresses the cluster has. Nodes and control plane have addresses of no other one;
// routers and clients always have both.
type Families uint8

// The zero value is Dual: both, IPv4 first.
const (
	Dual Families = iota
	IPv4
	IPv6
)

var familiesNames = [...]string{Dual: "dual", IPv4: "ipv4", IPv6: "ipv6"}

// String is the word for it in flags, stories and the lab's state: dual, ipv4 or ipv6.
func (f Families) String() string {
	if int(f) >= len(familiesNames) {
		return fmt.Sprintf("Families(%d)", uint8(f))
	}
	return familiesNames[f]
}

// MarshalText implements encoding.TextMarshaler.
func (f Families) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler, for flags too.
func (f *Families) UnmarshalText(text []byte) error {
	for i, name := range familiesNames {
		if name == string(text) {
			*f = Families(i)
			return nil
		}
	}
	return fmt.Errorf("%q is not one of dual, ipv4 and ipv6", text)
}

// pick returns what the families have of an IPv4 and an IPv6 value, in this order.
func pick[T any](f Families, both [2]T) []T {
	switch f {
	case IPv4:
		return both[:1]
	case IPv6:
		return both[1:]
	}
	return both[:]
}

// list is the same as Kubernetes' options want it.
func (f Families) list(v4, v6 string) string { return strings.Join(pick(f, [2]string{v4, v6}), ",") }

// listen is the address of a server that everybody in the cluster may call. IPv6 takes IPv4's connections, too, but
// may be off on a machine without.
func (f Families) listen() string {
	if f == IPv4 {
		return "0.0.0.0"
	}
	return "::"
}
