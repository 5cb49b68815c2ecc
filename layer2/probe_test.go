package layer2_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kontena/network-lb/layer2"
	"github.com/kontena/network-lb/layer2/layer2test"
)

func TestProbe(t *testing.T) {
	onLAN(t, func(t *testing.T, l *lan) {
		taken4, taken6 := netip.MustParseAddr("10.0.0.77"), netip.MustParseAddr("2001:db8::77")
		l.client.Hold(taken4)
		l.client.Hold(taken6)
		witness := l.Client(layer2.MAC{2, 0, 0, 0, 1, 10}, netip.MustParseAddr("10.0.0.10"), netip.MustParseAddr("2001:db8::10"))
		for _, a := range []netip.Addr{taken4, taken6} {
			witness.Learn(a, clientMAC)
		}
		start := time.Now()
		nowhere := layer2.Claim{Addr: vip4, Interfaces: []string{"eth7"}}
		results, err := l.responder.Probe(t.Context(), layer2.ProbeOptions{},
			layer2.Claim{Addr: taken4}, layer2.Claim{Addr: vip4}, layer2.Claim{Addr: taken6}, layer2.Claim{Addr: vip6}, nowhere)
		if took := time.Since(start); took != 150*time.Millisecond {
			t.Errorf("it took %v, want 150 ms", took)
		}
		if err != nil || len(results) != 5 {
			t.Fatalf("%d results, %v", len(results), err)
		}
		client := []layer2.Answer{{MAC: clientMAC, Interface: "eth0"}}
		for i, want := range []layer2.ProbeResult{{taken4, client, nil}, {vip4, nil, nil}, {taken6, client, nil}, {vip6, nil, nil}} {
			if got := results[i]; got.Addr != want.Addr || !slices.Equal(got.Answers, want.Answers) || got.Err != nil {
				t.Errorf("found %+v, want %+v", got, want)
			}
		}
		var none *layer2.NoInterfaceError
		if !errors.As(results[4].Err, &none) {
			t.Errorf("without an interface: %+v", results[4])
		}
		frames := l.Frames()
		if len(frames) != 12 {
			t.Errorf("%d frames, want three for each address", len(frames))
		}
		for _, f := range frames {
			zero := f.Sender.IP == netip.IPv4Unspecified() && f.Kind == layer2.ARPRequest ||
				f.Sender.IP == netip.IPv6Unspecified() && f.Kind == layer2.NeighborSolicitation && f.Sender.MAC == layer2.MAC{}
			if !zero || f.Source != l.eth0.MAC {
				t.Errorf("it says something of itself: %+v", f)
			}
		}
		for _, a := range []netip.Addr{taken4, taken6} {
			if mac, _ := witness.Neighbor(a); mac != clientMAC {
				t.Errorf("a neighbour has %v for %v now", mac, a)
			}
		}
		if got := l.responder.Status().Links[0].Probes; got != 12 {
			t.Errorf("%d probes counted", got)
		}
		l.silent(t, vip4, vip6)
		time.Sleep(10 * time.Second)
		if got := l.node.Listening(2); len(got) > 0 {
			t.Errorf("still listens for %v", got)
		}
	})
}

// Two successors that probe at the same time do not take each other for the owner.
func TestProbesOfTwo(t *testing.T) {
	onLAN(t, func(t *testing.T, l *lan) {
		other := layer2test.NewNode()
		other.Plug(link(7, "eth0", "10.0.0.6/24", "fe80::6/64", "2001:db8::6/64"), &l.LAN)
		second := layer2.NewResponder(other, layer2.Options{})
		defer second.Close()
		done := make(chan []layer2.ProbeResult)
		for _, r := range []*layer2.Responder{l.responder, second} {
			go func() {
				results, err := r.Probe(t.Context(), layer2.ProbeOptions{Count: 2, Interval: time.Second},
					layer2.Claim{Addr: vip4}, layer2.Claim{Addr: vip6})
				if err != nil {
					t.Error(err)
				}
				done <- results
			}()
		}
		for range 2 {
			for _, result := range <-done {
				if result.Err != nil || len(result.Answers) > 0 {
					t.Errorf("found %+v", result)
				}
			}
		}
	})
}

// A probe that ends early, or cannot be sent, does not say that nobody has the address.
func TestProbeFails(t *testing.T) {
	onLAN(t, func(t *testing.T, l *lan) {
		ctx, cancel := context.WithTimeout(t.Context(), 70*time.Millisecond)
		defer cancel()
		if _, err := l.responder.Probe(ctx, layer2.ProbeOptions{}, layer2.Claim{Addr: vip4}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("cancelled: %v", err)
		}
		l.node.Plug(with(l.eth0, func(l *layer2.Link) { l.Carrier = false }), &l.LAN)
		synctest.Wait()
		results, err := l.responder.Probe(t.Context(), layer2.ProbeOptions{}, layer2.Claim{Addr: vip4}, layer2.Claim{})
		if err != nil || results[0].Err == nil || results[1].Err == nil {
			t.Errorf("without carrier, and without address: %+v, %v", results, err)
		}
		go func() {
			time.Sleep(20 * time.Millisecond)
			l.responder.Close()
		}()
		for range 2 {
			if _, err := l.responder.Probe(t.Context(), layer2.ProbeOptions{}, layer2.Claim{Addr: vip4}); !errors.Is(err, net.ErrClosed) {
				t.Errorf("closed: %v", err)
			}
		}
	})
}

// Many are probed at a measured pace.
func TestProbeMany(t *testing.T) {
	onLAN(t, func(t *testing.T, l *lan) {
		start := time.Now()
		if _, err := l.responder.Probe(t.Context(), layer2.ProbeOptions{}, claims(200)...); err != nil {
			t.Fatal(err)
		}
		frames := l.Frames()
		if len(frames) != 600 || time.Since(start) < 590*time.Millisecond {
			t.Errorf("%d frames in %v", len(frames), time.Since(start))
		}
	})
}

// A node finds out who has an address before it takes it.
func ExampleResponder_Probe() {
	var lan layer2test.LAN
	node := layer2test.NewNode()
	node.Plug(layer2.Link{
		Index: 2, Name: "eth0", MAC: layer2.MAC{2, 0, 0, 0, 0, 5}, Up: true, Carrier: true, Broadcast: true,
		Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.5/24")},
	}, &lan)
	lan.Client(layer2.MAC{2, 0, 0, 0, 0, 9}, netip.MustParseAddr("10.0.0.9")).Hold(netip.MustParseAddr("10.0.0.240"))

	responder := layer2.NewResponder(node, layer2.Options{})
	defer responder.Close()
	claim := layer2.Claim{Addr: netip.MustParseAddr("10.0.0.240")}
	results, err := responder.Probe(context.Background(), layer2.ProbeOptions{}, claim)
	fmt.Println(results[0].Answers, results[0].Err, err)
	// Output: [{02:00:00:00:00:09 eth0}] <nil> <nil>
}

// halting is a transport that stands still while it sends the third probe.
type halting struct {
	*layer2test.Node
	sent *int
}

func (h halting) Send(f layer2.Frame) error {
	if *h.sent++; *h.sent == 3 {
		time.Sleep(2 * time.Second)
	}
	return h.Node.Send(f)
}

// What has come while a prober stood still is read after that.
func TestProbeAfterStandstill(t *testing.T) {
	onLAN(t, func(t *testing.T, l *lan) {
		node := layer2test.NewNode()
		node.Plug(link(7, "eth0", "10.0.0.7/24"), &l.LAN)
		r := layer2.NewResponder(halting{node, new(int)}, layer2.Options{})
		t.Cleanup(func() { r.Close() })
		start := time.Now()
		time.AfterFunc(2130*time.Millisecond, func() { l.client.Announce(vip4) })
		results, err := r.Probe(t.Context(), layer2.ProbeOptions{}, layer2.Claim{Addr: vip4})
		if err != nil || len(results) != 1 || len(results[0].Answers) != 1 {
			t.Errorf("%+v, %v", results, err)
		}
		if took := time.Since(start); took != 2150*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}
