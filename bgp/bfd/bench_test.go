package bfd_test

import (
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/kontena/network-lb/bgp/bfd"
)

// BenchmarkHundredSessions runs both ends of a hundred sessions at 100 ms over the loopback, for five seconds each
// time, and prints the CPU that one end takes.
func BenchmarkHundredSessions(b *testing.B) {
	const pairs = 100
	m := bfd.Listen(bfd.Options{})
	defer m.Close()
	var up sync.WaitGroup
	var all []*bfd.Session
	p := bfd.Parameters{Receive: 100 * time.Millisecond, Transmit: 100 * time.Millisecond}
	here := netip.MustParseAddr("127.0.0.1")
	for i := range pairs {
		there := netip.AddrFrom4([4]byte{127, 0, 85, byte(i + 1)})
		for _, c := range []bfd.Config{{Local: here, Remote: there, Parameters: p}, {Local: there, Remote: here, Parameters: p}} {
			up.Add(1)
			var once sync.Once
			s, err := m.Open(c, func(s bfd.Status) {
				if s.State == bfd.Up {
					once.Do(up.Done)
				}
			})
			if err != nil {
				b.Fatal(err)
			}
			all = append(all, s)
		}
	}
	up.Wait()
	time.Sleep(3 * time.Second) // Poll Sequences
	begun, busy := time.Now(), cpu(b)
	for b.Loop() {
		time.Sleep(5 * time.Second)
	}
	b.ReportMetric(100*float64(cpu(b)-busy)/float64(time.Since(begun))/2, "%cpu/100-sessions")
	var late, downs uint64
	for _, s := range all {
		late += s.Status().Late
		downs += s.Status().Downs
	}
	b.ReportMetric(float64(late), "late")
	b.ReportMetric(float64(downs), "downs")
	b.ReportMetric(0, "ns/op")
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
