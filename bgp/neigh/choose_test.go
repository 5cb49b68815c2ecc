package neigh

import (
	"net/netip"
	"strings"
	"testing"
)

func at(prefix string, change ...func(*address)) address {
	a := address{prefix: netip.MustParsePrefix(prefix), permanent: true}
	for _, f := range change {
		f(&a)
	}
	return a
}

func temporary(a *address)  { a.temporary, a.permanent = true, false }
func secondary(a *address)  { a.secondary = true }
func tentative(a *address)  { a.tentative = true }
func duplicate(a *address)  { a.tentative, a.duplicate = true, true }
func deprecated(a *address) { a.deprecated = true }
func leased(a *address)     { a.permanent = false }

func addrs(list ...string) (all []netip.Addr) {
	for _, a := range list {
		all = append(all, netip.MustParseAddr(a))
	}
	return all
}

func show(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func TestNextHop(t *testing.T) {
	for _, c := range []struct {
		name   string
		addrs  []address
		prefer []netip.Addr
		v4, v6 string
	}{
		{"nothing", nil, nil, "", ""},
		{"link-local is no next hop", []address{at("fe80::1/64"), at("169.254.1.1/16")}, nil, "", ""},
		{"one each", []address{at("10.0.0.1/24"), at("2001:db8::1/64")}, nil, "10.0.0.1", "2001:db8::1"},
		{"private and unique local count", []address{at("192.168.0.1/24"), at("fd00::1/64")}, nil, "192.168.0.1", "fd00::1"},
		{"lowest", []address{at("10.0.0.9/24"), at("10.0.0.1/24")}, nil, "10.0.0.1", ""},
		{"the preferred", []address{at("10.0.0.1/24"), at("10.0.0.9/24"), at("10.0.0.8/24")}, addrs("2001:db8::5", "10.0.0.9", "10.0.0.8"), "10.0.0.9", ""},
		{"the preferred is elsewhere", []address{at("10.0.0.1/24")}, addrs("10.1.0.1"), "10.0.0.1", ""},
		{"the preferred is not usable yet", []address{at("2001:db8::1/64", tentative), at("2001:db8::2/64")}, addrs("2001:db8::1"), "", "2001:db8::2"},
		{"privacy address", []address{at("2001:db8::1/64", temporary)}, nil, "", ""},
		{"deprecated last", []address{at("2001:db8::1/64", deprecated), at("2001:db8::2/64", leased)}, nil, "", "2001:db8::2"},
		{"deprecated if nothing else", []address{at("2001:db8::1/64", deprecated)}, nil, "", "2001:db8::1"},
		{"permanent before leased", []address{at("10.0.0.1/24", leased), at("10.0.0.2/24")}, nil, "10.0.0.2", ""},
		{"a lease is enough", []address{at("2001:db8::1/64", leased)}, nil, "", "2001:db8::1"},
		{"virtual address last", []address{at("10.0.0.1/32"), at("10.0.0.2/24")}, nil, "10.0.0.2", ""},
		{"primary first", []address{at("10.0.0.1/24", secondary), at("10.0.0.2/24")}, nil, "10.0.0.2", ""},
	} {
		if got := show(nextHop(c.addrs, c.prefer, true)); got != c.v4 {
			t.Errorf("%s: IPv4 %q, want %q", c.name, got, c.v4)
		}
		if got := show(nextHop(c.addrs, c.prefer, false)); got != c.v6 {
			t.Errorf("%s: IPv6 %q, want %q", c.name, got, c.v6)
		}
	}
}

func TestSource(t *testing.T) {
	six := []address{at("2001:db8::9/64"), at("2001:db8::1/64"), at("2001:db8:f::1/64"), at("2001:db8::77/64", temporary)}
	four := []address{at("10.0.0.1/24"), at("10.0.0.2/24", secondary), at("10.1.0.1/24")}
	for _, c := range []struct {
		name         string
		addrs        []address
		prefer       []netip.Addr
		peer, kernel string
		want         string
	}{
		{"IPv4: the kernel's", four, nil, "10.0.0.254", "10.0.0.1", "10.0.0.1"},
		{"IPv4: the preferred of the subnet", four, addrs("10.0.0.2"), "10.0.0.254", "10.0.0.1", "10.0.0.2"},
		{"IPv4: the preferred is of another subnet", four, addrs("10.1.0.1"), "10.0.0.254", "10.0.0.1", "10.0.0.1"},
		{"IPv4: behind a gateway, preferred", four, addrs("10.1.0.1"), "172.16.0.1", "10.0.0.1", "10.1.0.1"},
		{"IPv4: behind a gateway", four, nil, "172.16.0.1", "10.0.0.1", "10.0.0.1"},
		{"IPv4: a route's own source on another interface", four, nil, "172.16.0.1", "10.255.0.1", "10.255.0.1"},
		{"IPv6: not the kernel's newest", six, nil, "2001:db8::fe", "2001:db8::9", "2001:db8::1"},
		{"IPv6: the preferred", six, addrs("2001:db8::9"), "2001:db8::fe", "2001:db8::1", "2001:db8::9"},
		{"IPv6: of the peer's subnet", six, addrs("2001:db8::9"), "2001:db8:f::fe", "2001:db8::1", "2001:db8:f::1"},
		{"IPv6: behind a gateway", six, nil, "2001:db8:ffff::1", "2001:db8::9", "2001:db8::9"},
		{"IPv6: behind a gateway, not a temporary one", six, nil, "2001:db8:ffff::1", "2001:db8::77", "2001:db8::1"},
		{"no address at all", nil, nil, "10.0.0.254", "10.255.0.1", "10.255.0.1"},
		{"the kernel names none", four, nil, "172.16.0.1", "", "10.0.0.1"},
	} {
		var kernel netip.Addr
		if c.kernel != "" {
			kernel = netip.MustParseAddr(c.kernel)
		}
		if got := show(source(c.addrs, c.prefer, netip.MustParseAddr(c.peer), kernel)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestLinkLocal(t *testing.T) {
	for _, c := range []struct {
		name      string
		addrs     []address
		want, why string
	}{
		{"the present one", []address{at("fe80::2/64"), at("fe80::5/64"), at("fe80::9/64", duplicate)}, "fe80::5", ""},
		{"nothing", nil, "", "interface eth1 has no IPv6 link-local address"},
		{"others", []address{at("10.0.0.1/24"), at("169.254.0.1/16"), at("2001:db8::1/64")}, "", "interface eth1 has no IPv6 link-local address"},
		{"one", []address{at("2001:db8::1/64"), at("fe80::1/64")}, "fe80::1", ""},
		{"the one that stays", []address{at("fe80::1/64", leased), at("fe80::3/64"), at("fe80::2/64")}, "fe80::2", ""},
		{"not yet", []address{at("fe80::1/64", tentative)}, "", "is tentative: it is being checked for duplicates"},
		{"never", []address{at("fe80::1/64", duplicate)}, "", "the address fe80::1 of interface eth1 is a duplicate"},
		{"one of them", []address{at("fe80::1/64", duplicate), at("fe80::2/64")}, "fe80::2", ""},
	} {
		got, err := linkLocal("eth1", c.addrs, netip.MustParseAddr("fe80::5"))
		if show(got) != c.want || (err == nil) != (c.why == "") || err != nil && !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: got %v, %v, want %q, %q", c.name, got, err, c.want, c.why)
		}
	}
}

func TestPreferTellsOfAChange(t *testing.T) {
	var r Resolver
	list := addrs("10.0.0.1")
	if !r.Prefer(list) || r.Prefer(addrs("10.0.0.1")) {
		t.Error("wrong about a change")
	}
	list[0] = netip.Addr{}
	if r.Prefer(addrs("10.0.0.1")) {
		t.Error("the caller's slice is held")
	}
}
