//go:build linux

package rawsock_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mdlayher/packet"

	"github.com/kontena/network-lb/internal/nstest"
	"github.com/kontena/network-lb/layer2"
)

const (
	foreignRate = 5000            // requests a second for addresses of others
	measureFor  = 5 * time.Second // for each number of claims
)

// BenchmarkNetnsAnswers measures how long the answer to an ARP request takes, and what the answering process costs,
// while 5,000 requests a second for other addresses pass by. Claims are in one range, or every second address, which is
// more ranges than the kernel's filter takes. Each iteration measures for five seconds.
func BenchmarkNetnsAnswers(b *testing.B) {
	for _, bench := range []struct {
		name         string
		claims, step int
	}{{"10", 10, 1}, {"10000", 10000, 1}, {"10000-scattered", 10000, 2}} {
		b.Run(bench.name, func(b *testing.B) {
			client, middle, node := nstest.New(b, "bench-client"), nstest.New(b, "bench-middle"), nstest.New(b, "bench-node")
			build(b, node, client, middle)
			nstest.Run(b, "ip", "-n", node, "addr", "add", "10.1.0.5/16", "dev", "eth0")
			pid := answering(b, node, netip.MustParseAddr("10.1.1.0"), bench.claims, bench.step)
			asker := newAsker(b, client)
			var latencies []time.Duration
			var used, passed time.Duration
			for b.Loop() {
				before, begun := onCPU(b, pid), time.Now()
				latencies = append(latencies, asker.measure(b, bench.claims, bench.step)...)
				used, passed = used+onCPU(b, pid)-before, passed+time.Since(begun)
			}
			slices.Sort(latencies)
			us := func(q float64) float64 {
				return float64(latencies[int(q*float64(len(latencies)-1))].Nanoseconds()) / 1000
			}
			b.ReportMetric(us(.5), "p50-us")
			b.ReportMetric(us(.99), "p99-us")
			b.ReportMetric(100*used.Seconds()/passed.Seconds(), "%cpu")
			b.ReportMetric(float64(asker.sent)/passed.Seconds(), "foreign/s")
			b.ReportMetric(float64(asker.lost), "lost")
			b.ReportMetric(0, "ns/op") // says nothing here
		})
	}
}

// answering starts a process in the namespace that answers for so many addresses, and returns its PID once it does.
func answering(b *testing.B, namespace string, first netip.Addr, count, step int) int {
	cmd := exec.Command("ip", "netns", "exec", namespace, os.Args[0])
	cmd.Env = append(os.Environ(), answerEnv+"="+fmt.Sprintf("%v %d %d", first, count, step))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		b.Fatal(err)
	}
	return cmd.Process.Pid
}

// onCPU is how long the process's threads have been on a processor.
func onCPU(b *testing.B, pid int) time.Duration {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		b.Fatal(err)
	}
	var sum time.Duration
	for _, thread := range threads {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, thread.Name()))
		if err != nil {
			b.Fatal(err)
		}
		ns, err := strconv.ParseInt(strings.Fields(string(line))[0], 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(ns)
	}
	return sum
}

// asker sends ARP requests from the client, and sees their answers.
type asker struct {
	conn       *packet.Conn
	mac        layer2.MAC
	sent, lost int64
}

func newAsker(b *testing.B, namespace string) *asker {
	a := &asker{}
	nstest.Do(b, namespace, func() {
		ifi, err := net.InterfaceByName("eth0")
		if err == nil {
			a.mac = layer2.MAC(ifi.HardwareAddr)
			a.conn, err = packet.Listen(ifi, packet.Raw, 0x0806, nil)
		}
		if err != nil {
			b.Fatal(err)
		}
	})
	b.Cleanup(func() { _ = a.conn.Close() })
	return a
}

func (a *asker) ask(addr netip.Addr) {
	_, _ = a.conn.WriteTo(arpRequest(a.mac, netip.MustParseAddr("10.1.0.9"), addr), &packet.Addr{HardwareAddr: layer2.Broadcast[:]})
}

// measure asks for a claimed address every 5 ms while requests for others are sent.
func (a *asker) measure(b *testing.B, claims, step int) (latencies []time.Duration) {
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.others(step, &stop)
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(measureFor); time.Now().Before(end); <-tick.C {
		addr := nth(netip.MustParseAddr("10.1.1.0"), step*rand.N(claims))
		begun := time.Now()
		a.ask(addr)
		if a.await(addr, begun.Add(200*time.Millisecond)) {
			latencies = append(latencies, time.Since(begun))
		} else {
			a.lost++
		}
	}
	stop.Store(true)
	<-done
	if len(latencies) == 0 {
		b.Fatal("no answers")
	}
	return latencies
}

func (a *asker) await(addr netip.Addr, until time.Time) bool {
	_ = a.conn.SetReadDeadline(until)
	buffer, want := make([]byte, 128), addr.As4()
	for {
		n, _, err := a.conn.ReadFrom(buffer)
		if err != nil {
			return false
		}
		if f := buffer[:n]; n >= 42 && f[21] == 2 && [4]byte(f[28:32]) == want && layer2.MAC(f[:6]) == a.mac {
			return true
		}
	}
}

// others asks at the rate for addresses that nobody has: half of them of other networks, half of them between the
// claimed ones where there is room.
func (a *asker) others(step int, stop *atomic.Bool) {
	const burst = 5
	tick := time.NewTicker(burst * time.Second / foreignRate)
	defer tick.Stop()
	begun, before := time.Now(), a.sent
	for ; !stop.Load(); <-tick.C {
		for due := before + int64(time.Since(begun).Seconds()*foreignRate); a.sent < due; a.sent++ {
			addr := nth(netip.MustParseAddr("10.9.0.0"), rand.N(60000))
			if step > 1 && a.sent%2 == 0 {
				addr = nth(netip.MustParseAddr("10.1.1.0"), 1+step*rand.N(9000))
			}
			a.ask(addr)
		}
	}
}

// nth is the nth address after addr.
func nth(addr netip.Addr, n int) netip.Addr {
	b := addr.As4()
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(b[:])+uint32(n))))
}
