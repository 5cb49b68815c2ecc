package ipam

import (
	"fmt"
	"math/big"
	"net/netip"
	"strings"
)

// Range is an inclusive range of addresses of one family. The zero value is no valid range.
type Range struct{ From, To netip.Addr }

// ParseRange reads a CIDR ("10.0.0.0/24"), a range ("10.0.0.1-10.0.0.9", blanks around the dash allowed) or a single
// address ("10.0.0.7"), of either family. A CIDR with host bits ("10.0.0.7/24") means its network; HasHostBits tells.
func ParseRange(s string) (Range, error) {
	text := strings.TrimSpace(s)
	if from, to, ok := strings.Cut(text, "-"); ok {
		return parseEnds(strings.TrimSpace(from), strings.TrimSpace(to))
	}
	if strings.Contains(text, "/") {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return Range{}, fmt.Errorf("%q is not a CIDR", text)
		}
		if err := checkAddr(prefix.Addr()); err != nil {
			return Range{}, err
		}
		return PrefixRange(prefix), nil
	}
	addr, err := parseAddr(text)
	if err != nil {
		return Range{}, err
	}
	return Range{addr, addr}, nil
}

func parseEnds(from, to string) (Range, error) {
	first, err := parseAddr(from)
	if err != nil {
		return Range{}, err
	}
	last, err := parseAddr(to)
	if err != nil {
		return Range{}, err
	}
	r := Range{first, last}
	return r, r.check()
}

func parseAddr(s string) (netip.Addr, error) {
	if s == "" {
		return netip.Addr{}, fmt.Errorf("an address is missing")
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%q is not an IP address", s)
	}
	return addr, checkAddr(addr)
}

// checkAddr refuses what is no plain address of one family.
func checkAddr(addr netip.Addr) error {
	switch {
	case !addr.IsValid():
		return fmt.Errorf("an address is missing")
	case addr.Zone() != "":
		return fmt.Errorf("%s has a zone", addr)
	case addr.Is4In6():
		return fmt.Errorf("%s is an IPv4 address in IPv6 form, write %s", addr, addr.Unmap())
	default:
		return nil
	}
}

// HasHostBits reports whether s is a CIDR whose address is not the network's own, such as "10.0.0.7/24".
func HasHostBits(s string) bool {
	prefix, err := netip.ParsePrefix(strings.TrimSpace(s))
	return err == nil && prefix.Masked() != prefix
}

// PrefixRange returns all addresses of a prefix, whose host bits do not matter.
func PrefixRange(prefix netip.Prefix) Range {
	from := prefix.Masked().Addr()
	family := familyOf(from)
	last := fromAddr(from).or(hostMask(family.bits() - prefix.Bits()))
	return Range{from, family.addr(last)}
}

// check says what is wrong with a range, if something is.
func (r Range) check() error {
	for _, addr := range []netip.Addr{r.From, r.To} {
		if err := checkAddr(addr); err != nil {
			return err
		}
	}
	if r.From.Is4() != r.To.Is4() {
		return fmt.Errorf("%s and %s are of different families", r.From, r.To)
	}
	if r.To.Less(r.From) {
		return fmt.Errorf("the range ends at %s, before it starts at %s", r.To, r.From)
	}
	return nil
}

// IsValid reports whether both ends are plain addresses of one family, in order.
func (r Range) IsValid() bool { return r.check() == nil }

// Family returns the family of a valid range.
func (r Range) Family() Family { return familyOf(r.From) }

// Contains reports whether the address lies in the range.
func (r Range) Contains(addr netip.Addr) bool {
	return r.From.BitLen() == addr.BitLen() && !addr.Less(r.From) && !r.To.Less(addr) && addr.Zone() == ""
}

// Overlaps reports whether the ranges have an address in common.
func (r Range) Overlaps(other Range) bool {
	return r.From.BitLen() == other.From.BitLen() && !r.To.Less(other.From) && !other.To.Less(r.From)
}

// Size returns the exact number of addresses of a valid range.
func (r Range) Size() *big.Int {
	size := new(big.Int).Sub(fromAddr(r.To).big(), fromAddr(r.From).big())
	return size.Add(size, big.NewInt(1))
}

// String returns the shortest form that ParseRange reads as this range: an address, a CIDR, or both ends.
func (r Range) String() string {
	if !r.IsValid() {
		return "invalid range"
	}
	if r.From == r.To {
		return r.From.String()
	}
	if prefix := r.prefix(); prefix.IsValid() {
		return prefix.String()
	}
	return r.From.String() + "-" + r.To.String()
}

// prefix returns the prefix that has exactly the addresses of the range, or an invalid one.
func (r Range) prefix() netip.Prefix {
	from, to := fromAddr(r.From), fromAddr(r.To)
	host := from.xor(to).bitLen()
	if mask := hostMask(host); !from.and(mask).isZero() || from.or(mask) != to {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(r.From, r.Family().bits()-host)
}
