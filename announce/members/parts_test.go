package members

import (
	"bytes"
	"errors"
	"log"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// Whatever the ring holds, it is made to hold the keys that are wanted, with the first in use.
func TestInstall(t *testing.T) {
	all := make([][]byte, 6)
	for i := range all {
		all[i] = bytes.Repeat([]byte{byte(i)}, 16)
	}
	rng := rand.New(rand.NewPCG(7, 8))
	ring, err := memberlist.NewKeyring(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		want := slices.Clone(all[:1+rng.IntN(len(all))])
		want = append(want, want[rng.IntN(len(want))]) // one twice
		if err := install(ring, want); err != nil {
			t.Fatal(err)
		}
		have := ring.GetKeys()
		if !bytes.Equal(ring.GetPrimaryKey(), want[0]) || len(have) != len(want)-1 {
			t.Fatalf("the ring holds %v, want %v", have, want)
		}
		for _, k := range want {
			if !slices.ContainsFunc(have, func(h []byte) bool { return bytes.Equal(h, k) }) {
				t.Fatalf("the ring holds %v, want %v", have, want)
			}
		}
	}
}

// The ordinary steps never encrypt with another key than the first, and keys are read while they change.
func TestInstallWhileInUse(t *testing.T) {
	a, b := bytes.Repeat([]byte{1}, 16), bytes.Repeat([]byte{2}, 32)
	ring, err := memberlist.NewKeyring(nil, a)
	if err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			for _, k := range ring.GetKeys() {
				if !bytes.Equal(k, a) && !bytes.Equal(k, b) {
					t.Errorf("the ring holds %v", k)
				}
			}
		}
	}()
	for range 500 {
		for _, keys := range [][][]byte{{a, b}, {b, a}, {b}, {b, a}, {a, b}, {a}} {
			if err := install(ring, keys); err != nil {
				t.Error(err)
			}
		}
	}
	close(stop)
	<-done
}

func TestLapse(t *testing.T) {
	before := Clocks{Monotonic: time.Hour, Boot: 2 * time.Hour, Wall: 50 * 365 * 24 * time.Hour}
	after := func(monotonic, boot, wall time.Duration) Clocks {
		return Clocks{before.Monotonic + monotonic, before.Boot + boot, before.Wall + wall}
	}
	for what, tt := range map[string]struct {
		now  Clocks
		want time.Duration
	}{
		"on time":           {after(50, 50, 50), 0},
		"sooner":            {after(10, 10, 10), 0},
		"late":              {after(3050, 3050, 3050), 3000},
		"suspended":         {after(50, 3050, 3050), 3000},
		"set forward":       {after(50, 50, 3050), 3000},
		"set back":          {after(50, 50, -2950), 3000},
		"late, and set too": {after(1050, 1050, 6050), 5000},
	} {
		if got := lapse(before, tt.now, 50); got != tt.want {
			t.Errorf("%s: %v, want %v", what, got, tt.want)
		}
	}
	if a, b := hostClocks(), hostClocks(); b.Monotonic < a.Monotonic || b.Boot < a.Boot || a.Boot <= 0 || a.Wall < 50*365*24*time.Hour {
		t.Errorf("the machine's clocks are %+v and then %+v", a, b)
	}
}

// A process that stands still between two clocks reads them again: it stood still once, not twice.
func TestReadClocks(t *testing.T) {
	begin := time.Now()
	for _, at := range []int{0, 1, 2, 3, 99} { // the reading before which it stands still
		passed, readings := time.Duration(0), 0
		tick := func() time.Duration {
			if passed += time.Microsecond; readings == at {
				passed += 5 * time.Second
			}
			readings++
			return passed
		}
		read := func() Clocks {
			return readClocks(func() time.Time { return begin.Add(tick()) }, tick)
		}
		all := []Clocks{read(), read(), read()}
		noticed := 0
		for i := range all[1:] {
			if lapse(all[i], all[i+1], turn) > time.Second {
				noticed++
			}
		}
		if want := map[int]int{3: 1}[at]; noticed != want {
			t.Errorf("before reading %d: noticed %d times, want %d: %+v", at, noticed, want, all)
		}
	}
}

// memberlist's lines are shown at their level, what is told in other words and what comes again and again is not.
func TestLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, seen := observer.New(zap.DebugLevel)
		var unread, plain []netip.Addr
		l := &logger{log: zap.New(core), unread: func(a netip.Addr) { unread = append(unread, a) }, plain: func(a netip.Addr) { plain = append(plain, a) }}
		lines := log.New(l, "", 0)
		for _, tt := range []struct {
			line string
			want zapcore.Level
		}{
			{"[DEBUG] memberlist: Stream connection from=10.0.0.1:5", zap.DebugLevel},
			{"[INFO] memberlist: Suspect b has failed, no acks received", zap.DebugLevel},
			{"[WARN] memberlist: Was able to connect to b over TCP but UDP probes failed, network may be misconfigured", zap.DebugLevel},
			{"[WARN] memberlist: handler queue full, dropping message (8) from=10.0.0.1:5", zap.WarnLevel},
			{"[WARN] memberlist: handler queue full, dropping message (8) from=10.0.0.1:5", zap.DebugLevel},
			{"[ERR] memberlist: Push/Pull with b failed: EOF", zap.DebugLevel},
			{"[ERR] memberlist: Too many pending push/pull requests", zap.WarnLevel},
			{"[ERR] memberlist: Decrypt packet failed: no installed keys could decrypt the message from=10.0.0.1:17946", zap.DebugLevel},
			{"[ERR] memberlist: failed to receive: no installed keys could decrypt the message from=[2001:db8::1]:4711", zap.DebugLevel},
			{"[ERR] memberlist: failed to receive: encryption is configured but remote state is not encrypted from=10.0.0.3:4711", zap.DebugLevel},
			{"Err: something without a level", zap.DebugLevel},
		} {
			lines.Println(tt.line)
			got := seen.TakeAll()
			if len(got) != 1 || got[0].Level != tt.want {
				t.Errorf("%s became %v, want level %v", tt.line, got, tt.want)
			}
		}
		if want := addrs("10.0.0.1", "2001:db8::1"); !slices.Equal(unread, want) || !slices.Equal(plain, addrs("10.0.0.3")) {
			t.Errorf("not read from %v, not encrypted from %v", unread, plain)
		}
		time.Sleep(2 * quiet)
		lines.Println("[WARN] memberlist: handler queue full, dropping message (8) from=10.0.0.1:5")
		if got := seen.TakeAll(); len(got) != 1 || got[0].Level != zap.WarnLevel {
			t.Errorf("after a while: %v, want it shown again", got)
		}
	})
}

func TestReason(t *testing.T) {
	for text, want := range map[string]string{
		"1 error occurred:\n\t* failed to join 10.0.0.2:17946: no installed keys could decrypt the message\n\n": "no installed keys could decrypt the message",
		"read tcp 10.0.0.1:34839->10.0.0.2:17946: i/o timeout":                                                  "i/o timeout",
		"EOF": "EOF",
	} {
		if got := reason(errors.New(text)); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

// A problem is told when it lasts, is over at once when it is over, and what changes every moment is told once.
func TestComplaint(t *testing.T) {
	var c complaint
	now := time.Now()
	said := ""
	for i, tt := range []struct {
		words string
		after time.Duration
		want  string
	}{
		{"a", 0, ""}, {"a", time.Second, ""}, {"", 0, ""}, {"a", 0, ""}, {"b", time.Second, ""}, {"a", time.Second, "a"},
		{"b", time.Second, "a"}, {"a", time.Second, "a"}, {"b", 0, "a"}, {"b", 2 * time.Second, "b"}, {"", 0, ""}, {"b", 0, ""},
	} {
		now = now.Add(tt.after)
		changed := c.hear(tt.words, now)
		if c.told != tt.want || changed != (said != tt.want) {
			t.Errorf("step %d: told %q (changed: %v), want %q", i, c.told, changed, tt.want)
		}
		said = c.told
	}
}

func TestDelay(t *testing.T) {
	for missing, want := range map[time.Duration]time.Duration{0: rejoinEvery, 10 * time.Second: time.Second, time.Hour: rejoinMost} {
		for range 100 {
			if got := delay(missing); got < want || got > want+want/4 {
				t.Errorf("missing for %v: %v, want %v and a quarter at most", missing, got, want)
			}
		}
	}
}

func TestDetectionWords(t *testing.T) {
	var f Detection
	for text, want := range map[string]Detection{"": Normal, "normal": Normal, "fast": Fast} {
		if err := f.UnmarshalText([]byte(text)); err != nil || f != want {
			t.Errorf("%q is %v (%v)", text, f, err)
		}
	}
	if err := f.UnmarshalText([]byte("slow")); err == nil {
		t.Error("slow is a detection")
	}
	if b, _ := Fast.MarshalText(); string(b) != "fast" {
		t.Errorf("fast is %s", b)
	}
}

// Messages that nobody understands are counted, and told once.
func TestUndecodable(t *testing.T) {
	core, seen := observer.New(zap.InfoLevel)
	m := &Membership{log: zap.New(core), lines: &logger{log: zap.NewNop()}}
	for range 5 {
		Deliver(m, []byte{format + 1, 1, 2})
	}
	delegate{m}.MergeRemoteState([]byte{format, byte(kindHello)}, true)
	if n := m.counts.decodeErrors.Load(); n != 6 || seen.Len() != 1 {
		t.Errorf("%d errors, %d lines; want 6 and 1", n, seen.Len())
	}
}
