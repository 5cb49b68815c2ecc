package e2e

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/kontena/network-lb/lab"
)

const (
	visits   = 20 * time.Millisecond // between two connections of a visitor
	unheard  = 50 * time.Millisecond // one that takes longer had no answer
	recently = 5 * visits            // a visitor that had an answer within it has one
)

// visitor is a client on the LAN that opens a connection to an address every 20 ms. One that forgets drops the MAC
// address that it knows before each, and so has to ask the network for it.
type visitor struct {
	host    string
	addr    netip.Addr
	forgets bool

	mu       sync.Mutex
	last     time.Time     // when it began what was answered last
	longest  time.Duration // that it was without an answer since it was asked to watch
	unserved int           // connections without an answer in that time
}

// visit has a visitor come until the test ends.
func visit(t testing.TB, c *lab.Cluster, v *visitor) *visitor {
	t.Helper()
	ns, err := c.Namespaces(v.host)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- ns.Do(func() error { return v.run(ctx) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return v
}

func (v *visitor) run(ctx context.Context) error {
	link, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer nl.Close()
	entry := &netlink.Neigh{LinkIndex: link.Attrs().Index, IP: v.addr.AsSlice()}
	tick := time.NewTicker(visits)
	defer tick.Stop()
	for {
		if v.forgets {
			if err := nl.NeighDel(entry); err != nil && !errors.Is(err, unix.ENOENT) {
				return err
			}
		}
		v.connect(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// connect opens a connection, and takes note of whether it could.
func (v *visitor) connect(ctx context.Context) {
	began := time.Now()
	dialer := net.Dialer{Timeout: unheard, KeepAlive: -1}
	conn, err := dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(v.addr, 80).String())
	v.mu.Lock()
	defer v.mu.Unlock()
	if err != nil {
		v.unserved++
		return
	}
	_ = conn.(*net.TCPConn).SetLinger(0) // at once, and nothing remains of it
	_ = conn.Close()
	if !v.last.IsZero() {
		v.longest = max(v.longest, time.Since(v.last))
	}
	v.last = began
}

// watch has it count anew.
func (v *visitor) watch() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.longest, v.unserved = 0, 0
}

// served reports whether it had an answer just now.
func (v *visitor) served() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return time.Since(v.last) < recently
}

// without is for how long it had no answer, and how many connections it tried meanwhile.
func (v *visitor) without() (time.Duration, int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return max(v.longest, time.Since(v.last)), v.unserved
}
