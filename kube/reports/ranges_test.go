package reports

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

func parse(texts ...string) (all []netip.Addr) {
	for _, t := range texts {
		all = append(all, netip.MustParseAddr(t))
	}
	return all
}

func TestListIsExactWhereItCan(t *testing.T) {
	l := List(parse("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.9", "255.255.255.255", "fd00::1", "fd00::2"), parse("10.0.0.4"))
	want := []string{"10.0.0.1-10.0.0.3", "10.0.0.9", "255.255.255.255", "fd00::1-fd00::2"}
	if !slices.Equal(l.Addresses, want) || l.Unlisted != 0 {
		t.Errorf("listed as %v, %d, want %v", l.Addresses, l.Unlisted, want)
	}
	if l := List(nil, nil); l.Addresses != nil || l.Unlisted != 0 {
		t.Errorf("nothing is listed as %+v", l)
	}
}

// at is the address number i of a /16.
func at(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}) }

// Addresses far apart, as `assignment: stable` gives them, are one range for a node that announces them all.
func TestListOfScatteredAddressesIsShort(t *testing.T) {
	var all []netip.Addr
	for i := range 5000 {
		all = append(all, at(13*i))
	}
	if l := List(all, nil); len(l.Addresses) != 1 || l.Unlisted != 0 {
		t.Errorf("%d ranges, %d unlisted", len(l.Addresses), l.Unlisted)
	}
}

// Whatever is announced and is not, in whatever families, is read as it was written; only what did not find place is
// not known.
func TestListAndSet(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{3, 200, 2000, 60000} {
		for _, share := range []int{1, 5, 9} {
			var addrs, others []netip.Addr
			for i := range n {
				a := at(i)
				if i > n*2/3 {
					b := netip.MustParseAddr("fd00::").As16()
					b[14], b[15] = byte(i>>8), byte(i)
					a = netip.AddrFrom16(b)
				}
				switch {
				case r.IntN(3) == 0: // nobody's
				case r.IntN(10) < share:
					addrs = append(addrs, a)
				default:
					others = append(others, a)
				}
			}
			l := List(addrs, others)
			if len(l.Addresses) > mostRanges {
				t.Fatalf("%d ranges", len(l.Addresses))
			}
			s, unlisted := l.Set(), 0
			for _, a := range addrs {
				has, known := s.Has(a)
				if !known {
					unlisted++
				} else if !has {
					t.Fatalf("n %d, share %d: %s is lost", n, share, a)
				}
			}
			for _, a := range others {
				if has, _ := s.Has(a); has {
					t.Fatalf("n %d, share %d: %s is among them", n, share, a)
				}
			}
			if unlisted != l.Unlisted {
				t.Errorf("n %d, share %d: %d are not known, and it says %d", n, share, unlisted, l.Unlisted)
			}
		}
	}
}

func TestSetOfAHandsWork(t *testing.T) {
	s := Listed{Addresses: []string{"10.0.0.9", "nonsense", "10.0.0.1-10.0.0.3", "fd00::/126"}}.Set()
	for text, want := range map[string]bool{"10.0.0.2": true, "10.0.0.4": false, "10.0.0.9": true, "fd00::2": true, "fd00::4": false, "10.0.0.0": false} {
		if has, known := s.Has(netip.MustParseAddr(text)); has != want || !known {
			t.Errorf("%s: %v, %v", text, has, known)
		}
	}
}
