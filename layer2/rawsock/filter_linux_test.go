package rawsock

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/net/bpf"

	"github.com/kontena/network-lb/layer2"
)

// The filter agrees with decode on what to receive, and lets nothing else through.
func TestFilter(t *testing.T) {
	frames := [][]byte{
		encoded(t, request()),
		encoded(t, with(request(), func(f *layer2.Frame) { f.Target.IP = vip4.Next() })),
		encoded(t, with(request(), func(f *layer2.Frame) { f.Kind = layer2.ARPReply })),
		encoded(t, solicitation()),
		encoded(t, with(solicitation(), func(f *layer2.Frame) { f.Target.IP = vip6.Next() })),
		encoded(t, with(solicitation(), func(f *layer2.Frame) { f.Kind = layer2.NeighborAdvertisement })),
		encoded(t, with(solicitation(), func(f *layer2.Frame) { f.Sender.IP = netip.IPv6Unspecified(); f.Sender.MAC = layer2.MAC{} })),
		make([]byte, 20),
	}
	says := func(f *layer2.Frame) { f.Sender.IP = vip4; f.Target.IP = peer4.Prev() }
	arps := append(slices.Clone(frames[:2]),
		encoded(t, with(request(), func(f *layer2.Frame) { f.Kind = layer2.ARPReply })),
		encoded(t, with(request(), says)),
		encoded(t, with(with(request(), says), func(f *layer2.Frame) { f.Kind = layer2.ARPReply })),
		encoded(t, with(with(request(), says), func(f *layer2.Frame) { f.Sender.IP = vip4.Next() })),
	)
	options := encoded(t, ping(peer4, vip4))
	options = slices.Insert(options, 34, 1, 1, 1, 1) // four no-operations
	options[14], options[17] = 0x46, options[17]+4
	far := encoded(t, with(advertisement(), func(f *layer2.Frame) { f.Target.IP = vip6 }))
	far[21] = 254
	adverts := [][]byte{
		encoded(t, with(advertisement(), func(f *layer2.Frame) { f.Target.IP = vip6 })), far,
		encoded(t, with(advertisement(), func(f *layer2.Frame) { f.Target.IP = vip6.Next() })), encoded(t, ping(peer6, vip6)),
	}
	pings4 := [][]byte{
		encoded(t, ping(peer4, vip4)), options, encoded(t, ping(peer4, vip4.Next())),
		encoded(t, with(ping(peer4, vip4), func(f *layer2.Frame) { f.Kind = layer2.EchoReply })),
		slices.Replace(encoded(t, ping(peer4, vip4)), 20, 21, 0x20),
		slices.Replace(encoded(t, ping(peer4, vip4)), 23, 24, 6),
	}
	pings6 := [][]byte{
		encoded(t, ping(peer6, vip6)), encoded(t, ping(peer6, vip6.Next())),
		encoded(t, with(ping(peer6, vip6), func(f *layer2.Frame) { f.Kind = layer2.EchoReply })), frames[3],
	}
	many := []netip.Addr{peer4, vip4, peer6, vip6}
	for i := range 5000 { // no two are neighbours
		many = append(many, netip.AddrFrom4([4]byte{172, byte(16 + i>>8), byte(i), 7}))
	}
	for name, tt := range map[string]struct {
		program []bpf.Instruction
		want    []bool
		frames  [][]byte
	}{
		"ARP":              {arpFilter([]netip.Addr{peer4.Next(), vip4}), []bool{true, false, true, true, true, false}, arps},
		"ARP, none":        {arpFilter(nil), make([]bool, 6), arps},
		"ARP, many":        {arpFilter(many), []bool{true, true, true, true, true, false}, arps},
		"ARP, many others": {arpFilter(many[4:]), make([]bool, 6), arps},
		"advertisements":   {ndpFilter([]netip.Addr{vip6}), []bool{true, false, false, false}, adverts},
		"pings":            {echo4Filter([]netip.Addr{vip4}), []bool{true, true, false, false, false, false}, pings4},
		"pings, many":      {echo4Filter(many[:4]), []bool{true, true, false, false, false, false}, pings4},
		"IPv6 pings":       {echo6Filter([]netip.Addr{vip6}), []bool{true, false, false, false}, pings6},
		"NDP":              {ndpFilter([]netip.Addr{peer6, vip6}), []bool{true, false, true, true, false}, frames[3:]},
		"NDP, many":        {ndpFilter(many), []bool{true, false, true, true, false}, frames[3:]},
	} {
		if n := len(tt.program); n > 4096 {
			t.Errorf("%s: %d instructions, the kernel takes 4096", name, n)
		}
		vm, err := bpf.NewVM(tt.program[len(otherHosts):]) // as long as onlyThisHost // it does not know the packet type
		if err != nil {
			t.Fatal(err)
		}
		for i, b := range tt.frames {
			n, err := vm.Run(b)
			if err != nil || (n > 0) != tt.want[i] {
				t.Errorf("%s: frame %d: %d bytes accepted, %v", name, i, n, err)
			}
		}
	}
}

// A stupid twin: the values within the spans are counted one by one.
func TestCover(t *testing.T) {
	for range 2000 {
		set := map[uint32]bool{}
		for range rand.N(40) {
			set[rand.N(uint32(60))] = true
		}
		var values []uint32
		runs := 0
		for v := range uint32(61) {
			if set[v] {
				values = append(values, v, v)
				if !set[v-1] {
					runs++
				}
			}
		}
		rand.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
		most := 1 + rand.N(10)
		spans := cover(values, most)
		if want := min(runs, most); len(spans) != want {
			t.Fatalf("%d spans of %v, want %d", len(spans), set, want)
		}
		for v := range uint32(61) {
			in := slices.ContainsFunc(spans, func(s span) bool { return s.first <= v && v <= s.last })
			if set[v] && !in || !set[v] && in && runs <= most {
				t.Fatalf("%d in %v: %v", v, spans, in)
			}
		}
	}
	extremes := []uint32{0xffffffff, 0, 0xfffffffe, 1}
	if got := cover(extremes, 5); !slices.Equal(got, []span{{0, 1}, {0xfffffffe, 0xffffffff}}) {
		t.Errorf("got %v", got)
	}
}
