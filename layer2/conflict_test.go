package layer2_test

import (
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kontena/network-lb/layer2"
	"github.com/kontena/network-lb/layer2/layer2test"
)

// listener keeps the conflicts that a responder tells.
type listener struct {
	mu   sync.Mutex
	told []layer2.Conflict
}

func (l *listener) hear(c layer2.Conflict) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, c)
}

func (l *listener) take() []layer2.Conflict {
	l.mu.Lock()
	defer l.mu.Unlock()
	told := l.told
	l.told = nil
	return told
}

// watched has a node beside the LAN's own, whose conflicts are listened for.
func watched(t *testing.T, l *lan) (*layer2.Responder, *listener, layer2.Link) {
	t.Helper()
	node, heard := layer2test.NewNode(), &listener{}
	eth0 := link(7, "eth0", "10.0.0.7/24", "fe80::7/64", "2001:db8::7/64")
	node.Plug(eth0, &l.LAN)
	r := layer2.NewResponder(node, layer2.Options{OnConflict: heard.hear})
	t.Cleanup(func() { r.Close() })
	if err := r.Set([]layer2.Claim{{Addr: vip4}, {Addr: vip6}}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Second) // until the first rounds are over
	l.Frames()
	return r, heard, eth0
}

// A foreign machine is told of and answered with a single frame, each ten seconds however often it speaks.
func TestForeignConflict(t *testing.T) {
	onLAN(t, func(t *testing.T, l *lan) {
		r, heard, eth0 := watched(t, l)
		l.client.Announce(vip4)
		synctest.Wait()
		if told := heard.take(); len(told) != 1 || len(l.Frames()) > 0 {
			t.Errorf("a station that may be a fellow: told %+v", told)
		}
		r.SetSpeakers(nil)
		if err := r.Set([]layer2.Claim{{Addr: vip6}}); err != nil {
			t.Fatal(err)
		}
		if err := r.Set([]layer2.Claim{{Addr: vip4}, {Addr: vip6}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		l.Frames()
		start := time.Now()
		for range 25 {
			l.client.Announce(vip4)
			l.client.Announce(vip6)
			time.Sleep(time.Second)
		}
		sent := map[layer2.Frame][]time.Duration{}
		for _, f := range l.Frames() {
			sent[f.Frame] = append(sent[f.Frame], f.At.Sub(start).Round(time.Second))
		}
		self := func(a netip.Addr) layer2.Host { return layer2.Host{IP: a, MAC: eth0.MAC} }
		tens := []time.Duration{0, 10 * time.Second, 20 * time.Second}
		for _, f := range []layer2.Frame{
			{Link: 7, Kind: layer2.ARPRequest, Source: eth0.MAC, Destination: layer2.Broadcast, Sender: self(vip4), Target: layer2.Host{IP: vip4}},
			{Link: 7, Kind: layer2.NeighborAdvertisement, Source: eth0.MAC, Destination: layer2.MAC{0x33, 0x33, 0, 0, 0, 1},
				Sender: layer2.Host{IP: vip6}, Target: self(vip6), To: netip.MustParseAddr("ff02::1"), Override: true},
		} {
			if !slices.Equal(sent[f], tens) {
				t.Errorf("defended after %v by %+v, want %v", sent[f], f, tens)
			}
			delete(sent, f)
		}
		if len(sent) > 0 {
			t.Errorf("sent %v besides", sent)
		}
		told := heard.take()
		if len(told) != 6 {
			t.Fatalf("%d conflicts told, want 6", len(told))
		}
		for i, c := range told {
			if c.MAC != clientMAC || c.Speaker != "" || c.Interface != "eth0" || c.Addr != []netip.Addr{vip4, vip6}[i%2] {
				t.Errorf("told %+v", c)
			}
		}
		s := r.Status()
		if s.Links[0].Conflicts != 51 {
			t.Errorf("%d conflicts counted, want 51", s.Links[0].Conflicts)
		}
		for _, c := range s.Claims {
			if len(c.Conflicts) != 1 || c.Conflicts[0].Frames != 25 || !c.Conflicts[0].First.Equal(start) || c.Conflicts[0].Last.Sub(start) != 24*time.Second {
				t.Errorf("status %+v", c)
			}
		}
		if err := r.Set(nil); err != nil {
			t.Fatal(err)
		}
		l.client.Announce(vip4)
		synctest.Wait()
		if err := r.Set([]layer2.Claim{{Addr: vip4}}); err != nil {
			t.Fatal(err)
		}
		if c := r.Status().Claims[0]; len(c.Conflicts) > 0 || len(heard.take()) > 0 {
			t.Errorf("what is not answered has a conflict: %+v", c)
		}
	})
}

// Questions are no conflicts, nor is an answer to somebody else's.
func TestNoConflict(t *testing.T) {
	onLAN(t, func(t *testing.T, l *lan) {
		r, heard, eth0 := watched(t, l)
		other := netip.MustParseAddr("10.0.0.77")
		l.client.Hold(other)
		l.client.Announce(other)
		second := l.Client(layer2.MAC{2, 0, 0, 0, 1, 10}, netip.MustParseAddr("10.0.0.10"), netip.MustParseAddr("2001:db8::10"))
		for _, a := range []netip.Addr{vip4, vip6, other} {
			if _, ok := second.Resolve(a); !ok {
				t.Errorf("%v does not answer", a)
			}
		}
		if results, err := l.responder.Probe(t.Context(), layer2.ProbeOptions{}, layer2.Claim{Addr: vip4}, layer2.Claim{Addr: vip6}); err != nil ||
			len(results[0].Answers) != 1 || results[0].Answers[0].MAC != eth0.MAC {
			t.Errorf("probes found %+v, %v", results, err)
		}
		synctest.Wait()
		if told := heard.take(); len(told) > 0 {
			t.Errorf("told %+v", told)
		}
		if c := r.Status().Links[0].Conflicts; c > 0 {
			t.Errorf("%d conflicts counted", c)
		}
	})
}

// Two speakers that answer for one address tell their callers at once; neither fights.
func TestSplitBrain(t *testing.T) {
	onLAN(t, func(t *testing.T, l *lan) {
		r, heard, _ := watched(t, l)
		r.SetSpeakers(map[layer2.MAC]string{l.eth0.MAC: "node-b"})
		start := time.Now()
		l.set(t, vip4)
		told := heard.take()
		if len(told) != 1 || told[0].Speaker != "node-b" || told[0].MAC != l.eth0.MAC || told[0].Addr != vip4 || !told[0].Last.Equal(start) {
			t.Fatalf("told %+v", told)
		}
		time.Sleep(5 * time.Second)
		for _, c := range heard.take() {
			if c.Speaker != "node-b" {
				t.Errorf("told %+v", c)
			}
		}
		for _, f := range l.Frames() {
			if f.Source != l.eth0.MAC {
				t.Errorf("it fights back: %+v", f)
			}
		}
		r.SetSpeakers(nil) // no member any more
		time.Sleep(10 * time.Second)
		l.client.Announce(vip6)
		synctest.Wait()
		if told := heard.take(); len(told) != 1 || told[0].Addr != vip6 {
			t.Errorf("told %+v", told)
		}
		r.SetSpeakers(map[layer2.MAC]string{clientMAC: "node-c"})
		l.client.Announce(vip6)
		synctest.Wait()
		if told := heard.take(); len(told) != 1 || told[0].Speaker != "node-c" {
			t.Errorf("a station that turned out to be a speaker: told %+v", told)
		}
	})
}

// A machine's own interfaces on one network are no strangers, nor are VLANs that share a MAC address.
func TestOwnInterfacesAreNoConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lan layer2test.LAN
		node, heard := layer2test.NewNode(), &listener{}
		node.Plug(link(2, "eth0", "10.0.0.5/24", "fe80::5/64"), &lan)
		node.Plug(link(3, "eth1", "10.0.0.6/24", "fe80::6/64"), &lan)
		r := layer2.NewResponder(node, layer2.Options{OnConflict: heard.hear})
		defer r.Close()
		if err := r.Set([]layer2.Claim{{Addr: vip4}, {Addr: vip6, Interfaces: []string{"*"}}}); err != nil {
			t.Fatal(err)
		}
		results, err := r.Probe(t.Context(), layer2.ProbeOptions{}, layer2.Claim{Addr: vip4})
		if err != nil || len(results[0].Answers) > 0 {
			t.Errorf("it found itself: %+v, %v", results, err)
		}
		time.Sleep(time.Minute)
		if told := heard.take(); len(told) > 0 {
			t.Errorf("told %+v", told)
		}
	})
}

// VLANs of one trunk are interfaces of one MAC address, each with a network of its own.
func TestVLANs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		node, lans := layer2test.NewNode(), [2]layer2test.LAN{}
		mac := layer2.MAC{2, 0, 0, 0, 0, 9}
		trunk := layer2.Link{Index: 2, Name: "eth0", MAC: mac, Up: true, Carrier: true, Broadcast: true}
		vlan5, vlan6 := link(3, "eth0.5", "10.5.0.1/24"), link(4, "eth0.6", "10.6.0.1/24")
		vlan5.MAC, vlan6.MAC = mac, mac
		node.Plug(trunk, nil)
		node.Plug(vlan5, &lans[0])
		node.Plug(vlan6, &lans[1])
		r := layer2.NewResponder(node, layer2.Options{})
		defer r.Close()
		five, six := netip.MustParseAddr("10.5.0.240"), netip.MustParseAddr("10.6.0.240")
		if err := r.Set([]layer2.Claim{{Addr: five}, {Addr: six}}); err != nil {
			t.Fatal(err)
		}
		client5 := lans[0].Client(clientMAC, netip.MustParseAddr("10.5.0.9"))
		client6 := lans[1].Client(clientMAC, netip.MustParseAddr("10.6.0.9"))
		if got, ok := client5.Resolve(five); !ok || got != mac {
			t.Errorf("VLAN 5: %v, %v", got, ok)
		}
		if got, ok := client6.Resolve(six); !ok || got != mac {
			t.Errorf("VLAN 6: %v, %v", got, ok)
		}
		if got, ok := client5.Resolve(six); ok {
			t.Errorf("VLAN 6's address answers in VLAN 5, from %v", got)
		}
		node.Unplug(3)
		if got, ok := client6.Resolve(six); !ok || got != mac {
			t.Errorf("VLAN 6 without VLAN 5: %v, %v", got, ok)
		}
	})
}
