package e2e

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kontena/network-lb/lab"
	"github.com/kontena/network-lb/lab/namespace"
)

// watchEvery is how often a watcher asks for each of its addresses, by broadcasts.
const watchEvery = 40 * time.Millisecond

// watcher asks from a host on the LAN who has addresses, again and again, and takes note of every MAC that answers, and
// of every frame that announces an address.
type watcher struct {
	fd    int
	index int
	mac   [6]byte
	ip    netip.Addr
	names map[[6]byte]string // of the hosts on the LAN
	stop  chan struct{}
	done  sync.WaitGroup

	mu    sync.Mutex
	began time.Time
	watched
}

// watched is what a watcher has seen since it began, or was asked last.
type watched struct {
	asked     map[netip.Addr]int // how often
	answers   map[netip.Addr][]answered
	announced map[string][]time.Time // by hosts
}

// answered is an answer: to which of the requests for its address, and whose MAC it gives, which need not be that of who
// sends it.
type answered struct {
	at   time.Time
	turn int
	by   string
}

// watchFrom begins to watch addresses from a host.
func watchFrom(host string, addrs []netip.Addr) (*watcher, error) {
	h, err := lab.HostNamed(host)
	if err != nil {
		return nil, err
	}
	names, err := hostMACs()
	if err != nil {
		return nil, err
	}
	w := &watcher{names: names, ip: h.LANAddrs(lab.IPv4)[0], stop: make(chan struct{})}
	if err := (namespace.Host{Net: lab.Prefix + host}).Do(w.open); err != nil {
		return nil, fmt.Errorf("watching from %s: %w", host, err)
	}
	w.watched = newWatched(addrs)
	w.began = time.Now()
	w.done.Go(w.listen)
	w.done.Go(func() { w.ask(addrs) })
	return w, nil
}

func newWatched(addrs []netip.Addr) watched {
	w := watched{map[netip.Addr]int{}, map[netip.Addr][]answered{}, map[string][]time.Time{}}
	for _, a := range addrs {
		w.asked[a] = 0
	}
	return w
}

// hostMACs are the names of the hosts by their MACs on the LAN.
func hostMACs() (map[[6]byte]string, error) {
	names := map[[6]byte]string{}
	for _, h := range lab.Hosts {
		if !h.LAN {
			continue
		}
		err := namespace.Host{Net: lab.Prefix + h.Name}.Do(func() error {
			link, err := net.InterfaceByName("eth0")
			if err == nil {
				names[[6]byte(link.HardwareAddr)] = h.Name
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return names, nil
}

// open is run inside the host.
func (w *watcher) open() error {
	link, err := net.InterfaceByName("eth0")
	if err != nil {
		return err
	}
	w.index, w.mac = link.Index, [6]byte(link.HardwareAddr)
	if w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		return err
	}
	patience := unix.Timeval{Usec: 100_000} // so that it sees when it is to end
	return errors.Join(
		unix.SetsockoptTimeval(w.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience),
		unix.SetsockoptInt(w.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20),
		unix.Bind(w.fd, &unix.SockaddrLinklayer{Protocol: swap(unix.ETH_P_ALL), Ifindex: w.index}))
}

func swap(n uint16) uint16 { return n<<8 | n>>8 }

// close ends the watching, also a second time.
func (w *watcher) close() {
	select {
	case <-w.stop:
	default:
		close(w.stop)
		w.done.Wait()
		_ = unix.Close(w.fd) // nothing was to be written
	}
}

// ask sends requests from the host's own address, one after the other.
func (w *watcher) ask(addrs []netip.Addr) {
	tick := time.NewTicker(watchEvery / time.Duration(len(addrs)))
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-w.stop:
			return
		case <-tick.C:
		}
		a := addrs[i%len(addrs)]
		w.mu.Lock()
		w.asked[a]++
		w.mu.Unlock()
		_ = unix.Sendto(w.fd, w.request(a), 0, &unix.SockaddrLinklayer{Ifindex: w.index}) // then there is no answer
	}
}

func (w *watcher) request(a netip.Addr) []byte {
	b := slices.Concat([]byte{255, 255, 255, 255, 255, 255}, w.mac[:], []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, 1}, w.mac[:], w.ip.AsSlice())
	return slices.Concat(b, make([]byte, 6), a.AsSlice())
}

func (w *watcher) listen() {
	b := make([]byte, 2048)
	for {
		n, from, err := unix.Recvfrom(w.fd, b, 0)
		select {
		case <-w.stop:
			return
		default:
		}
		if ll, ok := from.(*unix.SockaddrLinklayer); err == nil && n >= 42 && ok && ll.Pkttype != unix.PACKET_OUTGOING {
			w.hear(b[:n])
		}
	}
}

// hear takes a frame: RFC 826, and for advertisements that nobody asked for RFC 4861.
func (w *watcher) hear(b []byte) {
	now, by := time.Now(), w.names[[6]byte(b[6:12])]
	w.mu.Lock()
	defer w.mu.Unlock()
	switch kind := binary.BigEndian.Uint16(b[12:]); {
	case kind == unix.ETH_P_ARP:
		sender, target := netip.AddrFrom4([4]byte(b[28:32])), netip.AddrFrom4([4]byte(b[38:42]))
		turns, ours := w.asked[sender]
		switch {
		case sender == target:
			w.announced[by] = append(w.announced[by], now)
		case ours && b[21] == 2 && target == w.ip && turns > 0:
			w.answers[sender] = append(w.answers[sender], answered{now, turns, w.names[[6]byte(b[22:28])]})
		}
	case kind == unix.ETH_P_IPV6 && len(b) >= 78 && b[20] == unix.IPPROTO_ICMPV6 && b[38] == 255 && b[54] == 136:
		w.announced[by] = append(w.announced[by], now)
	}
}

// limits are what may be; zero: anything.
type limits struct {
	gap     time.Duration // without an answer, of any address
	double  time.Duration // with two answering nodes, of any address, from the first to the last such answer
	settled time.Duration // with two answering nodes, from the beginning
	rate    int           // announcing frames of one host in a second
	still   bool          // no address may go from one node to another
}

// report says what was seen since the last call, and what of it may not be.
func (w *watcher) report(l limits) (string, error) {
	w.mu.Lock()
	now, began, seen := time.Now(), w.began, w.watched
	w.watched, w.began = newWatched(nil), now
	for a := range seen.asked {
		w.asked[a] = 0
	}
	w.mu.Unlock()
	var lines []string
	var errs []error
	check := func(limit time.Duration, what string, a netip.Addr, took time.Duration) {
		if limit > 0 && took > limit {
			errs = append(errs, fmt.Errorf("%s %s for %d ms, at most %d", a, what, took.Milliseconds(), limit.Milliseconds()))
		}
	}
	for _, a := range slices.SortedFunc(maps.Keys(seen.asked), netip.Addr.Compare) {
		one := judge(seen.answers[a], began, now)
		lines = append(lines, fmt.Sprintf("%s %s, no answer for %d ms from %d ms on, two for %d ms until %d ms", a,
			strings.Join(one.owners, " "), one.gap.Milliseconds(), one.gapped.Milliseconds(), one.double.Milliseconds(), one.settled.Milliseconds()))
		check(l.gap, "had no answer", a, one.gap)
		check(l.double, "had two owners", a, one.double)
		check(l.settled, "had two owners since the beginning", a, one.settled)
		if l.still && len(one.owners) > 1 {
			errs = append(errs, fmt.Errorf("%s went from one node to another: %s", a, strings.Join(one.owners, " ")))
		}
	}
	for _, host := range slices.Sorted(maps.Keys(seen.announced)) {
		most := burst(seen.announced[host])
		lines = append(lines, fmt.Sprintf("%s announced with %d frames in a second at most", cmp.Or(host, "somebody"), most))
		if l.rate > 0 && most > l.rate {
			errs = append(errs, fmt.Errorf("%s announced with %d frames in a second, at most %d", host, most, l.rate))
		}
	}
	return strings.Join(lines, "\n") + "\n", errors.Join(errs...)
}

// verdict is what was seen of one address.
type verdict struct {
	owners      []string      // who answered, in the order of the first answers after another one's
	gap, gapped time.Duration // the longest time without an answer, and when it began
	double      time.Duration // the longest with two
	settled     time.Duration // the last of these
}

// apart is how long there may be one answer between two times with two that are one.
const apart = 500 * time.Millisecond

func judge(answers []answered, began, now time.Time) (v verdict) {
	last, turn := began, map[string]bool{}
	var first, second time.Time // of the answers by two
	for i, a := range answers {
		v.miss(last, a.at, began)
		last = a.at
		if i == 0 || answers[i-1].turn != a.turn {
			clear(turn)
		}
		turn[a.by] = true
		if len(turn) > 1 {
			if first.IsZero() || a.at.Sub(second) > apart {
				first = a.at
			}
			second = a.at
			v.double, v.settled = max(v.double, second.Sub(first)), a.at.Sub(began)
		}
		if n := len(v.owners); n == 0 || v.owners[n-1] != a.by {
			v.owners = append(v.owners, a.by)
		}
	}
	v.miss(last, now, began)
	if n := len(v.owners); n > 6 { // they take turns
		v.owners = append(v.owners[:3], "…", v.owners[n-1])
	}
	return v
}

func (v *verdict) miss(from, to, began time.Time) {
	if gap := to.Sub(from); gap > v.gap {
		v.gap, v.gapped = gap, from.Sub(began)
	}
}

// burst is how many of the times are within one second at most.
func burst(times []time.Time) (most int) {
	from := 0
	for i, t := range times {
		for t.Sub(times[from]) >= time.Second {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}
