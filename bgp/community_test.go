package bgp

import (
	"encoding/json"
	"slices"
	"testing"
)

func TestCommunities(t *testing.T) {
	for _, c := range []struct {
		text, printed string
		want          Community
	}{
		{"64500:100", "", StandardCommunity(64500<<16 | 100)},
		{"0:0", "", Community{}},
		{"65535:65535", "", StandardCommunity(0xffffffff)},
		{"007:08", "7:8", StandardCommunity(7<<16 | 8)},
		{"65535:65281", "no-export", StandardCommunity(0xffffff01)},
		{"no-export", "", StandardCommunity(0xffffff01)},
		{"graceful-shutdown", "", StandardCommunity(0xffff0000)},
		{"blackhole", "", StandardCommunity(65535<<16 | 666)},
		{"large:64500:1:2", "", LargeCommunity(64500, 1, 2)},
		{"large:4294967295:0:4294967295", "", LargeCommunity(4294967295, 0, 4294967295)},
	} {
		got, err := ParseCommunity(c.text)
		if err != nil || got != c.want {
			t.Errorf("%s: %v %v, want %v", c.text, got, err, c.want)
		}
		if c.printed == "" {
			c.printed = c.text
		}
		if got.String() != c.printed {
			t.Errorf("%s is printed as %s, want %s", c.text, got, c.printed)
		}
		data, err := json.Marshal(got)
		var back Community
		if err != nil || json.Unmarshal(data, &back) != nil || back != got {
			t.Errorf("%s becomes %s and then %s", c.text, data, back)
		}
	}
	for _, text := range []string{
		"", "1", "1:", ":1", "1:2:3", "65536:1", "1:65536", "-1:1", "+1:1", "1: 2", "0x1:1", "no-exports", "NO-EXPORT",
		"large:", "large:1:2", "large:1:2:3:4", "large:4294967296:0:0", "large:a:b:c", "Large:1:2:3",
	} {
		if c, err := ParseCommunity(text); err == nil {
			t.Errorf("%q is read as %s", text, c)
		}
	}
	for _, name := range WellKnownCommunities() {
		if c, err := ParseCommunity(name); err != nil || c.String() != name {
			t.Errorf("%s is read as %s, %v", name, c, err)
		}
	}
}

// A standard and a large community of the same numbers are two.
func TestCommunitiesAreComparable(t *testing.T) {
	all := []Community{LargeCommunity(0, 0, 7), StandardCommunity(9), LargeCommunity(7, 0, 0), StandardCommunity(7), StandardCommunity(9)}
	want := []Community{StandardCommunity(7), StandardCommunity(9), LargeCommunity(0, 0, 7), LargeCommunity(7, 0, 0)}
	if got := communities(all); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if value, ok := StandardCommunity(7).Standard(); value != 7 || !ok {
		t.Error(value, ok)
	}
	if _, ok := StandardCommunity(7).Large(); ok {
		t.Error("a standard community is large")
	}
	if n, ok := LargeCommunity(1, 2, 3).Large(); n != [3]uint32{1, 2, 3} || !ok {
		t.Error(n, ok)
	}
	if _, ok := LargeCommunity(1, 2, 3).Standard(); ok {
		t.Error("a large community is standard")
	}
}

func FuzzParseCommunity(f *testing.F) {
	for _, text := range []string{"64500:100", "large:64500:1:2", "no-export", "65535:65281", "", "::"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseCommunity(text)
		if err != nil {
			return
		}
		if back, err := ParseCommunity(c.String()); err != nil || back != c {
			t.Errorf("%q becomes %s, and that %s, %v", text, c, back, err)
		}
	})
}
