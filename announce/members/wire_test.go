package members

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kontena/network-lb/layer2"
)

var links = []layer2.Link{
	{Name: "eth0", MAC: layer2.MAC{2, 0, 0, 0, 0, 5}, Up: true, Carrier: true, Broadcast: true, Default4: true, Addrs: []netip.Prefix{
		netip.MustParsePrefix("10.0.0.5/24"), netip.MustParsePrefix("2001:db8::5/64"), netip.MustParsePrefix("fe80::5/128"),
	}},
	{Name: "eth1", Enslaved: true, Default6: true},
}

func full(node string, h head, held ...netip.Addr) record {
	return record{node: node, head: h, content: complete, held: held, registers: registersOf(State{Interfaces: links, Draining: true}, false)}
}

func addrs(texts ...string) []netip.Addr {
	var out []netip.Addr
	for _, t := range texts {
		out = append(out, netip.MustParseAddr(t))
	}
	return out
}

func TestRecords(t *testing.T) {
	wide := addrs("0.0.0.0", "10.0.0.1", "10.0.0.2", "255.255.255.255", "::", "::1", "2001:db8::1", "fd00::ffff:0:0:1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
	for _, r := range []record{
		full("a", head{1 << 62, 3}),
		full("a", head{1 << 62, 3}, wide...),
		{node: "b", head: head{7, 8}, content: difference, base: 7, added: wide[:2], removed: wide[5:], registers: registers{tagFlags: "\x03"}},
		{node: "b", head: head{7, 8}, content: notice, registers: registers{}},
		{node: "b", head: head{7, 8}, content: complete, registers: registers{99: "from the future"}, age: time.Hour},
	} {
		got, err := readRecord(r.append(nil))
		if err != nil || text(got) != text(r) {
			t.Errorf("%+v became %+v (%v)", r, got, err)
		}
	}
}

// text makes records comparable, where nil and empty are the same.
func text(r record) string { return string(r.append(nil)) + string(rune(r.content)) }

func TestStateThere(t *testing.T) {
	want := State{Interfaces: links, Starting: true, Draining: true, Unproven: true, Restarting: 30 * time.Second, Standing: addrs("10.0.0.1", "2001:db8::1")}
	r, err := readRecord(record{node: "a", head: head{1, 1}, content: complete, registers: registersOf(want, true)}.append(nil))
	if err != nil {
		t.Fatal(err)
	}
	if got, leaving, err := r.registers.state(); !reflect.DeepEqual(got, want) || !leaving || err != nil {
		t.Errorf("%+v became %+v (%v)", want, got, err)
	}
}

// A field that is not known is skipped in every place, and kept where it is a speaker's.
func TestUnknownFields(t *testing.T) {
	r := full("a", head{1, 2}, addrs("10.0.0.1")...)
	b := appendField(appendField(r.append(nil), 15, "structure"), 77, "register")
	got, err := readRecord(b)
	if err != nil || got.registers[77] != "register" || got.registers[15] != "" {
		t.Fatalf("%+v (%v)", got, err)
	}
	delete(got.registers, 77)
	if text(got) != text(r) {
		t.Errorf("%+v, want %+v", got, r)
	}
	link := appendField(appendLinks(nil, links[:1])[2:], 50, "speed") // without the outer tag and length
	both := appendField(appendField(nil, 1, link), 9, "no interface")
	if got, err := readLinks(both); err != nil || len(got) != 1 || got[0].Name != "eth0" {
		t.Errorf("%+v (%v)", got, err)
	}
	h := appendField(hello{"a", netip.MustParseAddrPort("10.0.0.1:5")}.append(nil), 3, "more")
	if got, err := readHello(h); err != nil || got.node != "a" || got.addr.Port() != 5 {
		t.Errorf("%+v (%v)", got, err)
	}
}

func TestRefused(t *testing.T) {
	name := func(b []byte) []byte { return append(appendField(nil, tagNode, "a"), b...) }
	long := appendUvarint(nil, maxHeld+1)
	long = append(long, make([]byte, maxHeld+1)...)
	for what, tt := range map[string]struct {
		b    []byte
		want string
	}{
		"nobody's":              {appendNumber(nil, tagVersion, 1), "nobody"},
		"cut off":               {full("a", head{1, 1}).append(nil)[:30], "ends too early"},
		"too late a run":        {name(appendNumber(nil, tagInstance, maxInstance+1)), "at most 9223372036854775807"},
		"too long a name":       {appendField(nil, tagNode, strings.Repeat("a", 254)), "254 bytes"},
		"complete and not":      {appendNumber(name(appendField(nil, tagHeld, "\x00\x00")), tagBase, 0), "both"},
		"to a later version":    {appendNumber(name(appendNumber(nil, tagVersion, 3)), tagBase, 3), "difference"},
		"too many addresses":    {name(appendField(nil, tagHeld, long)), "at most 100000"},
		"more than there is":    {name(appendField(nil, tagHeld, "\x7f\x00")), "ends too early"},
		"after IPv4":            {name(appendField(nil, tagHeld, "\x01\x80\x80\x80\x80\x10\x00")), "beyond"},
		"after IPv6":            {name(appendField(nil, tagHeld, "\x00\x02"+strings.Repeat("\xff", 18)+"\x03\x00")), "beyond"},
		"over 128 bits":         {name(appendField(nil, tagHeld, "\x00\x01"+strings.Repeat("\xff", 18)+"\x04")), "128 bits"},
		"more after the last":   {name(appendField(nil, tagHeld, "\x00\x00\x00")), "after the last"},
		"a MAC of 5":            {name(appendField(appendField(nil, tagHeld, "\x00\x00"), tagInterfaces, appendField(nil, 1, appendField(nil, linkMAC, "12345")))), "5 bytes"},
		"a prefix of 33":        {name(appendField(appendField(nil, tagHeld, "\x00\x00"), tagInterfaces, appendField(nil, 1, appendField(nil, linkAddrs, "\x21\x00\x00\x00\x00")))), "longer than its address"},
		"too large a register":  {name(appendField(nil, 20, make([]byte, maxRegister+1))), "too much"},
		"a number without end":  {name(appendField(nil, tagVersion, "\xff\xff")), "ends too early"},
		"too long an interface": {name(appendField(appendField(nil, tagHeld, "\x00\x00"), tagInterfaces, appendField(nil, 1, appendField(nil, linkName, make([]byte, 65))))), "65 bytes"},
	} {
		if r, err := readRecord(tt.b); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %+v, error %v, want one with %q", what, r, err, tt.want)
		}
	}
	for _, b := range [][]byte{nil, {format}, {format + 1, 1}} {
		if _, _, err := open(b); err == nil {
			t.Errorf("a message of %v is taken", b)
		}
	}
	if _, err := readHello(hello{"", netip.MustParseAddrPort("10.0.0.1:5")}.append(nil)); err == nil {
		t.Error("a greeting of nobody is taken")
	}
}

// What a set of addresses costs, in bytes.
func TestSetSize(t *testing.T) {
	dense, random6 := make([]netip.Addr, 5000), make([]netip.Addr, 5000)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range dense {
		dense[i] = netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		b := [16]byte{0: 0xfd, 1: 7}
		for j := 8; j < 16; j++ {
			b[j] = byte(rng.Uint32())
		}
		random6[i] = netip.AddrFrom16(b)
	}
	random6 = addresses(random6)
	third := slices.DeleteFunc(slices.Clone(dense), func(netip.Addr) bool { return rng.IntN(3) > 0 })
	for what, tt := range map[string]struct {
		set  []netip.Addr
		most int
	}{
		"neighbours": {dense, 5010}, "every third": {third, len(third) + 10}, "a /64 at random": {random6, 8 * 5000},
	} {
		b := encodeSet(tt.set)
		t.Logf("%s: %d addresses in %d bytes", what, len(tt.set), len(b))
		if got, err := readSet(b); err != nil || !slices.Equal(got, tt.set) {
			t.Errorf("%s: came back as %d addresses (%v)", what, len(got), err)
		}
		if len(b) > tt.most {
			t.Errorf("%s: %d bytes, want %d at most", what, len(b), tt.most)
		}
	}
}

func TestCompareAndMerge(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	some := func() []netip.Addr {
		var out []netip.Addr
		for range rng.IntN(20) {
			out = append(out, netip.AddrFrom4([4]byte{10, 0, 0, byte(rng.IntN(30))}))
		}
		return addresses(out)
	}
	for range 2000 {
		a, b := some(), some()
		before := bytes.Clone(encodeSet(a))
		added, removed := compare(a, b)
		if got := merge(a, added, removed); !slices.Equal(got, b) {
			t.Fatalf("%v with %v and without %v = %v, want %v", a, added, removed, got, b)
		}
		if got := merge(merge(a, b, nil), nil, a); slices.ContainsFunc(got, func(x netip.Addr) bool { return slices.Contains(a, x) || !slices.Contains(b, x) }) {
			t.Fatalf("%v without %v = %v", b, a, got)
		}
		if !bytes.Equal(before, encodeSet(a)) {
			t.Fatal("the set was changed")
		}
	}
	if got := addresses(addrs("2001:db8::1", "::ffff:10.0.0.1", "fe80::1%eth0", "10.0.0.1")); !slices.Equal(got, addrs("10.0.0.1", "2001:db8::1", "fe80::1")) {
		t.Errorf("addresses = %v", got)
	}
	if s := (State{Held: addrs("10.0.0.1")}); !s.Holds(netip.MustParseAddr("::ffff:10.0.0.1")) || s.Holds(netip.MustParseAddr("10.0.0.2")) {
		t.Error("Holds is wrong")
	}
}
