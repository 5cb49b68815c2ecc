//go:build linux

package members_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/kontena/network-lb/announce/members"
	"github.com/kontena/network-lb/internal/nstest"
)

var soak = flag.Duration("soak", 0, "how long TestSoak takes; 0 skips it")

// Nobody takes over from a speaker that still answers, however long it goes on: while every core is busy, 2 % of the
// membership's packets are lost, and speakers stand still for 1.5 s at random.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("takes long: make soak, or -soak 10m")
	}
	const speakers, percent, still = 5, 2, 1500 * time.Millisecond
	l := newLAN(t, speakers, members.Normal)
	l.guarded = true
	l.startAll()
	l.lossy(percent)
	for range runtime.NumCPU() {
		nstest.Start(t, l.switches, "sh", "-c", "while :; do :; done")
	}
	began := time.Now()
	stops := make([][]span, speakers)
	for reported := began; time.Since(began) < *soak; {
		i := rand.N(speakers)
		<-time.After(rand.N(4 * time.Second))
		one := span{From: time.Now()}
		l.speakers[i].signal(syscall.SIGSTOP)
		<-time.After(still)
		l.speakers[i].signal(syscall.SIGCONT)
		one.To = time.Now()
		stops[i] = append(stops[i], one)
		if time.Since(reported) > *soak/10 {
			reported = time.Now()
			t.Logf("after %v: %v", time.Since(began).Round(time.Second), l.tally(stops))
		}
	}
	l.eventually("each knows how often it stood still", func() bool {
		for i, p := range l.speakers {
			if int(p.last().Lapses) < len(stops[i]) {
				return false
			}
		}
		return true
	})
	l.together()
	all := l.tally(stops)
	t.Logf("%d speakers for %v on %d busy cores, %d %% of the packets lost: %v", speakers, time.Since(began).Round(time.Second),
		runtime.NumCPU(), percent, all)
	for _, p := range all.wrong {
		t.Errorf("a take-over from a speaker that still answered: %s", p)
	}
	for i, p := range l.speakers {
		if n := p.last().Counters.DecodeErrors; n > 0 {
			t.Errorf("%s: %d messages were undecodable", name(i), n)
		}
	}
	killed := time.Now()
	l.speakers[speakers-1].signal(syscall.SIGKILL)
	l.takenOver(speakers-1, killed) // so it is seen when it happens
}

// tally is what became of the losses that speakers have seen.
type tally struct {
	stops    int      // of speakers
	silences int      // after them
	losses   uint64   // that counted
	stale    uint64   // that were proved wrong within a gossip round
	vetoed   int      // probes of lost speakers that these have answered
	dropped  int      // unanswered ones of which nothing came: the speaker was back, or whoever asked stood still itself
	due      int      // take-overs from speakers that stood still or were silent while they were asked
	starved  int      // likewise from such that got no processor for 100 ms then
	wrong    []string // other take-overs
}

func (a tally) String() string {
	return fmt.Sprintf("%d times one stood still (noticed: %d); %d losses counted, %d proved wrong at once; probes vetoed %d take-overs, "+
		"%d more came to nothing; take-overs: %d from speakers that stood still, %d from such that got no processor, %d from others",
		a.stops, a.silences, a.losses, a.stale, a.vetoed, a.dropped, a.due, a.starved, len(a.wrong))
}

// tally counts; stops are when speakers stood still, by their numbers.
func (l *lan) tally(stops [][]span) (a tally) {
	silent, gaps := map[string][]span{}, map[string][]span{} // by name
	for i, p := range l.speakers {
		a.stops += len(stops[i])
		silent[name(i)] = append(p.silences(), stops[i]...)
		p.each(func(s sight) {
			if s.Gap != nil {
				gaps[name(i)] = append(gaps[name(i)], *s.Gap)
			}
		})
		last := p.last()
		a.silences, a.losses, a.stale = a.silences+int(last.Lapses), a.losses+last.Counters.Losses, a.stale+last.Counters.StaleLosses
	}
	type loss struct {
		node string
		at   time.Time
	}
	for i, p := range l.speakers {
		counted := map[loss]bool{} // a loss leads to one take-over, however often it is asked
		p.each(func(s sight) {
			switch of := s.Probed; {
			case of == nil:
			case of.Answered:
				a.vetoed++
			case !of.TakenOver:
				a.dropped++
			case counted[loss{of.Node, of.Lost}]:
			case anyMeets(silent[of.Node], of):
				a.due++
			case anyMeets(gaps[of.Node], of):
				a.starved++
			default:
				a.wrong = append(a.wrong, fmt.Sprintf("%s from %s, lost at %v, asked from %v to %v", name(i), of.Node, of.Lost, of.Began, of.Ended))
			}
			if s.Probed != nil && s.Probed.TakenOver {
				counted[loss{s.Probed.Node, s.Probed.Lost}] = true
			}
		})
	}
	return a
}

func anyMeets(spans []span, p *probed) bool {
	for _, s := range spans {
		if s.From.Before(p.Ended) && p.Began.Before(s.To) {
			return true
		}
	}
	return false
}

// each calls f with all sights, in order.
func (p *process) each(f func(sight)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sights {
		f(s)
	}
}

// silences are the times in which the speaker was silent by its own word.
func (p *process) silences() (out []span) {
	open := false
	p.each(func(s sight) {
		switch {
		case s.Silent != "" && !open:
			out, open = append(out, span{From: s.At}), true
		case s.Silent == "" && open:
			out[len(out)-1].To, open = s.At, false
		}
	})
	if open {
		out[len(out)-1].To = time.Now()
	}
	return out
}

// takenOver waits until all that run have taken over from one since then.
func (l *lan) takenOver(one int, since time.Time) {
	l.t.Helper()
	l.eventually("the others have taken over from "+name(one), func() bool {
		for _, i := range l.running() {
			from := func(s sight) bool { return s.Probed != nil && s.Probed.Node == name(one) && s.Probed.TakenOver }
			if _, ok := l.speakers[i].first(since, from); !ok && i != one {
				return false
			}
		}
		return true
	})
}

// A lost speaker that answers keeps what it has; one that does not is succeeded. This is how TestSoak tells them apart.
func TestNetnsVeto(t *testing.T) {
	l := newLAN(t, 3, members.Normal)
	l.guarded = true
	l.startAll()
	undo := l.lose(2, "udp dport 17946", "tcp dport 17946", "tcp sport 17946")
	vetoed := func(i, of int) {
		l.eventually(name(i)+" has asked "+name(of), func() bool {
			_, ok := l.speakers[i].first(time.Time{}, func(s sight) bool {
				return s.Probed != nil && s.Probed.Node == name(of) && s.Probed.Answered && s.Members[name(of)].Presence == "Lost"
			})
			return ok
		})
	}
	vetoed(0, 2)
	vetoed(1, 2)
	vetoed(2, 0)
	undo()
	l.together()
	before := l.tally(make([][]span, 3))
	t.Log(before)
	if len(before.wrong) > 0 {
		t.Errorf("%v", before.wrong)
	}
	killed := time.Now()
	l.speakers[2].signal(syscall.SIGKILL)
	l.takenOver(2, killed)
	if after := l.tally(make([][]span, 3)); len(after.wrong) != 2 {
		t.Errorf("two took over from one that was killed, with no word of its own that it was silent; told were %v: %v", after, after.wrong)
	}
}
