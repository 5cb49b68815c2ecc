package gobgp_test

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/internal/nstest"
)

// many makes host routes, as many of IPv4 and of IPv6 as said.
func many(n [2]int) []bgp.Route {
	all := make([]bgp.Route, 0, n[0]+n[1])
	for i := range n[0] {
		all = append(all, bgp.Route{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 100 + byte(i>>16), byte(i >> 8), byte(i)}), 32)})
	}
	for i := range n[1] {
		a := [16]byte{0x20, 0x01, 0x0d, 0xb8, 0, 9, 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)}
		all = append(all, bgp.Route{Prefix: netip.PrefixFrom(netip.AddrFrom16(a), 128)})
	}
	return all
}

// received is how many routes each of the four sessions has brought to its router, by the routers' own counts: no table
// is looked through.
func (l *lab) received() (n [4]int) {
	for _, family := range []string{"ipv4", "ipv6"} {
		of := l.frr.Received(family)
		n[0] += of["10.0.1.1"]
		n[1] += of["2001:db8:1::1"]
	}
	n[2], n[3] = l.bird.Imported("four"), l.bird.Imported("six")
	return n
}

// holds waits until all four sessions have brought so many routes.
func (l *lab) holds(t testing.TB, want int) {
	t.Helper()
	nstest.Eventually(t, "the routers hold the routes", func() (bool, any) { n := l.received(); return n == [4]int{want, want, want, want}, n })
}

// proc is a process's memory and the CPU it has used, by /proc.
type proc struct {
	peak, now float64 // resident, MiB
	cpu       time.Duration
}

func (p *process) proc() (u proc) {
	p.t.Helper()
	read := func(name string) string {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, name))
		if err != nil {
			p.t.Fatal(err)
		}
		return string(b)
	}
	for line := range strings.Lines(read("status")) {
		name, value, _ := strings.Cut(line, ":")
		kib, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		switch name {
		case "VmHWM":
			u.peak = kib / 1024
		case "VmRSS":
			u.now = kib / 1024
		}
	}
	_, fields, _ := strings.Cut(read("stat"), ") ") // proc(5): utime and stime are fields 14 and 15, in USER_HZ, 100
	for _, f := range strings.Fields(fields)[11:13] {
		ticks, _ := strconv.Atoi(f)
		u.cpu += time.Duration(ticks) * 10 * time.Millisecond
	}
	return u
}

// figures are measured again and again; show prints the least, the median and the greatest.
type figures map[string][]float64

func (f figures) add(what string, value float64) { f[what] = append(f[what], value) }
func (f figures) took(what string, begun time.Time) {
	f.add(what+", ms", float64(time.Since(begun).Microseconds())/1000)
}
func (f figures) show(b *testing.B, order ...string) {
	for _, what := range order {
		v := slices.Sorted(slices.Values(f[what]))
		fmt.Printf("%-46s %-44s min %8.1f   median %8.1f   max %8.1f   (%d)\n",
			strings.TrimPrefix(b.Name(), "Benchmark"), what, v[0], v[len(v)/2], v[len(v)-1], len(v))
	}
}
