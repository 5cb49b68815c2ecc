//go:build linux

package members_test

import (
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/kontena/network-lb/announce/members"
)

// figures are times, printed as least, median and most.
type figures []time.Duration

func (f figures) String() string {
	if len(f) == 0 {
		return "none"
	}
	slices.Sort(f)
	round := func(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }
	return fmt.Sprintf("min %v, median %v, max %v of %d", round(f[0]), round(f[len(f)/2]), round(f[len(f)-1]), len(f))
}

// BenchmarkLoss measures how long it takes until all others know that a speaker is lost, and until it is back.
func BenchmarkLoss(b *testing.B) {
	const rounds = 10
	for _, detection := range []members.Detection{members.Normal, members.Fast} {
		for _, n := range []int{3, 10} {
			b.Run(fmt.Sprintf("%v/%d", detection, n), func(b *testing.B) {
				l := newLAN(b, n, detection)
				l.startAll()
				var killed, cut, back figures
				wrong := 0
				for i := range rounds {
					one := i % n
					<-time.After(2*time.Second + time.Duration(i*37)*time.Millisecond)
					began := time.Now()
					l.speakers[one].signal(syscall.SIGKILL)
					killed = append(killed, l.known(one, began))
					l.start(one)
					l.together()
					wrong += l.wrong(one, began)
				}
				for i := range rounds {
					one := i % n
					<-time.After(2*time.Second + time.Duration(i*37)*time.Millisecond)
					began := time.Now()
					l.plug(one, false)
					cut = append(cut, l.known(one, began))
					l.plug(one, true)
					back = append(back, l.together())
					wrong += l.wrong(one, began)
				}
				b.Logf("killed: %v; cut off: %v; back after that: %v; others taken for lost: %d", killed, cut, back, wrong)
				idle(b, l)
			})
		}
	}
}

// idle measures what speakers cost that have nothing to tell.
func idle(b *testing.B, l *lan) {
	b.Helper()
	const long = 10 * time.Second
	before := l.speakers[0].last()
	<-time.After(long)
	after := l.speakers[0].last()
	passed := after.At.Sub(before.At).Seconds()
	b.Logf("idle: %.2f %% of a CPU; %.0f B/s sent by UDP, %.0f B/s by TCP", 100*(after.CPU-before.CPU).Seconds()/passed,
		float64(after.Counters.UDPSent-before.Counters.UDPSent)/passed, float64(after.Counters.TCPSent-before.Counters.TCPSent)/passed)
	var stale, losses uint64
	for _, i := range l.running() {
		n := l.speakers[i].last().Counters
		stale, losses = stale+n.StaleLosses, losses+n.Losses
	}
	b.Logf("losses seen: %d; heard of and proved wrong: %d", losses, stale)
}

// known is how long it took since then until all others knew that one is lost.
func (l *lan) known(one int, since time.Time) time.Duration {
	l.t.Helper()
	var latest time.Time
	l.eventually("all others know", func() bool {
		for _, i := range l.running() {
			if i == one {
				continue
			}
			s, ok := l.speakers[i].first(since, func(s sight) bool { return s.Members[name(one)].Presence == "Lost" })
			if !ok {
				return false
			}
			if s.At.After(latest) {
				latest = s.At
			}
		}
		return true
	})
	return latest.Sub(since)
}

// wrong counts since then how often any other than one was taken for lost by any other.
func (l *lan) wrong(one int, since time.Time) (n int) {
	for _, i := range l.running() {
		for _, j := range l.running() {
			lost := func(s sight) bool { return s.Members[name(j)].Presence == "Lost" }
			if _, ok := l.speakers[i].first(since, lost); ok && i != one && j != one {
				n++
			}
		}
	}
	return n
}

// BenchmarkPartition measures how long it takes until everybody is together again after a partition in two halves.
func BenchmarkPartition(b *testing.B) {
	for _, detection := range []members.Detection{members.Normal, members.Fast} {
		b.Run(detection.String(), func(b *testing.B) {
			l := newLAN(b, 6, detection)
			l.startAll()
			var back figures
			for range 10 {
				l.part(true)
				<-time.After(10 * time.Second)
				l.part(false)
				back = append(back, l.together())
			}
			b.Logf("together again after a partition of 10 s: %v", back)
		})
	}
}

// BenchmarkExchangeNetns measures an exchange of everything between 3 speakers with 5,000 addresses each.
func BenchmarkExchangeNetns(b *testing.B) {
	l := newLAN(b, 3, members.Normal)
	l.startAll()
	for i := range 3 {
		l.speakers[i].tell(order{State: &members.State{Held: held(i*20000, 5000)}})
	}
	began := time.Now()
	l.eventually("all is known", func() bool {
		for i := range 3 {
			for j := range 3 {
				if l.speakers[i].last().Members[name(j)].Held != 5000 {
					return false
				}
			}
		}
		return true
	})
	b.Logf("5,000 addresses of each are known to all after %v", time.Since(began))
	<-time.After(time.Second)
	before := l.speakers[0].last()
	<-time.After(60 * time.Second)
	after := l.speakers[0].last()
	n := float64(after.Counters.Exchanges - before.Counters.Exchanges)
	b.Logf("in a minute: %.0f exchanges, of %.0f B sent and %.0f B received each; %.2f %% of a CPU in all", n,
		float64(after.Counters.TCPSent-before.Counters.TCPSent)/n, float64(after.Counters.TCPReceived-before.Counters.TCPReceived)/n,
		100*(after.CPU-before.CPU).Seconds()/60)
}
