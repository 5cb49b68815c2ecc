package bfd

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/kontena/network-lb/internal/nstest"
	"github.com/kontena/network-lb/internal/routers"
)

// router is a BFD daemon of somebody else, with the four sessions of lab.
type router interface {
	// BFD tells how the session with a neighbour is.
	BFD(neighbour string) routers.BFD
	// set gives all sessions other parameters.
	set(t *testing.T, p Parameters)
	// signal is for its BFD daemon.
	signal(s syscall.Signal)
}

// frr is zebra and bfdd.
type frr struct {
	*routers.FRR
	passive bool
}

func startFRR(t *testing.T, namespace string, passive bool) router {
	t.Helper()
	f := &frr{routers.StartFRR(t, namespace, routers.Daemon{Name: "bfdd"}), passive}
	// A session on an interface that zebra has not told bfdd of yet stays deaf when it is passive: make it anew.
	nstest.Eventually(t, "bfdd knows the interfaces", func() (bool, any) {
		f.set(t, Parameters{})
		log, err := os.ReadFile(f.File("bfdd.log"))
		if err != nil || !bytes.Contains(log, []byte("doesn't exist")) {
			return err == nil, err
		}
		f.Configure("bfdd", "no bfd")
		if err := os.Truncate(f.File("bfdd.log"), 0); err != nil {
			t.Fatal(err)
		}
		return false, string(log)
	})
	return f
}

// frrPeers are FRR's names for the four sessions.
var frrPeers = []string{
	"peer 10.0.1.1 local-address 10.0.1.2 interface eth0", "peer 2001:db8:1::1 local-address 2001:db8:1::2 interface eth0",
	"peer 10.0.2.1 multihop local-address 10.0.3.2", "peer 2001:db8:2::1 multihop local-address 2001:db8:3::2",
}

func (f *frr) set(t *testing.T, p Parameters) {
	t.Helper()
	p = p.withDefaults()
	commands := []string{"bfd"}
	for _, peer := range frrPeers {
		commands = append(commands, peer, fmt.Sprintf("receive-interval %d", p.Receive.Milliseconds()),
			fmt.Sprintf("transmit-interval %d", p.Transmit.Milliseconds()), fmt.Sprintf("detect-multiplier %d", p.Multiplier))
		if f.passive {
			commands = append(commands, "passive-mode")
		}
		if strings.Contains(peer, "multihop") {
			commands = append(commands, "minimum-ttl 254")
		}
		commands = append(commands, "no shutdown", "exit")
	}
	f.Configure("bfdd", commands...)
}

func (f *frr) signal(s syscall.Signal) { f.Signal("bfdd", s) }

// bird is BIRD with nothing but its BFD.
type bird struct {
	*routers.BIRD
	passive bool
}

func startBIRD(t *testing.T, namespace string, passive bool) router {
	t.Helper()
	b := &bird{passive: passive}
	b.BIRD = routers.StartBIRD(t, namespace, b.config(Parameters{}))
	return b
}

func (b *bird) config(p Parameters) string {
	p = p.withDefaults()
	timers := fmt.Sprintf("min rx interval %d ms; min tx interval %d ms; multiplier %d;", p.Receive.Milliseconds(), p.Transmit.Milliseconds(), p.Multiplier)
	if b.passive {
		timers += " passive yes;"
	}
	return fmt.Sprintf(`router id 10.0.1.2;
protocol device {}
protocol bfd {
  debug all;
  interface "*" { %s };
  multihop { %s };
  neighbor 10.0.1.1 dev "eth0" local 10.0.1.2;
  neighbor 2001:db8:1::1 dev "eth0" local 2001:db8:1::2;
  neighbor 10.0.2.1 local 10.0.3.2 multihop yes;
  neighbor 2001:db8:2::1 local 2001:db8:3::2 multihop yes;
}
`, timers, timers)
}

func (b *bird) set(t *testing.T, p Parameters) {
	t.Helper()
	b.Reconfigure(b.config(p))
}

func (b *bird) signal(s syscall.Signal) { b.Signal(s) }
