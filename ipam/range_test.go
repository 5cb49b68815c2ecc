package ipam

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParseRange(t *testing.T) {
	for s, want := range map[string]struct{ from, to, size, text string }{
		"10.0.0.0/24":             {"10.0.0.0", "10.0.0.255", "256", "10.0.0.0/24"},
		"10.0.0.77/24":            {"10.0.0.0", "10.0.0.255", "256", "10.0.0.0/24"},
		"10.0.0.6/31":             {"10.0.0.6", "10.0.0.7", "2", "10.0.0.6/31"},
		"10.0.0.7/32":             {"10.0.0.7", "10.0.0.7", "1", "10.0.0.7"},
		"10.0.0.7":                {"10.0.0.7", "10.0.0.7", "1", "10.0.0.7"},
		"10.0.0.1-10.0.0.9":       {"10.0.0.1", "10.0.0.9", "9", "10.0.0.1-10.0.0.9"},
		"10.0.0.8 -\t10.0.0.15":   {"10.0.0.8", "10.0.0.15", "8", "10.0.0.8/29"},
		"10.0.0.9-10.0.0.9":       {"10.0.0.9", "10.0.0.9", "1", "10.0.0.9"},
		"10.0.0.1-10.0.0.8":       {"10.0.0.1", "10.0.0.8", "8", "10.0.0.1-10.0.0.8"},
		"10.0.0.0/8":              {"10.0.0.0", "10.255.255.255", "16777216", "10.0.0.0/8"},
		"0.0.0.0/0":               {"0.0.0.0", "255.255.255.255", "4294967296", "0.0.0.0/0"},
		"fd00::/64":               {"fd00::", "fd00::ffff:ffff:ffff:ffff", "18446744073709551616", "fd00::/64"},
		"fd00::1/126":             {"fd00::", "fd00::3", "4", "fd00::/126"},
		"fd00::5/128":             {"fd00::5", "fd00::5", "1", "fd00::5"},
		"fd00::a-fd00::1:0:0:0:9": {"fd00::a", "fd00:0:0:1::9", "18446744073709551616", "fd00::a-fd00:0:0:1::9"},
		"fd00::/63":               {"fd00::", "fd00::1:ffff:ffff:ffff:ffff", "36893488147419103232", "fd00::/63"},
		"::/0":                    {"::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "340282366920938463463374607431768211456", "::/0"},
	} {
		r, err := ParseRange(s)
		if err != nil {
			t.Errorf("%q: %v", s, err)
			continue
		}
		if r.From.String() != want.from || r.To.String() != want.to || r.Size().String() != want.size || r.String() != want.text {
			t.Errorf("%q: %s to %s, %s addresses, %q; want %v", s, r.From, r.To, r.Size(), r, want)
		}
	}
}

func TestParseRangeMistakes(t *testing.T) {
	for s, want := range map[string]string{
		"":                        "an address is missing",
		"-":                       "an address is missing",
		"10.0.0.1-":               "an address is missing",
		"10.0.0":                  `"10.0.0" is not an IP address`,
		"010.0.0.1":               `"010.0.0.1" is not an IP address`,
		"10.0.0.0/33":             `"10.0.0.0/33" is not a CIDR`,
		"10.0.0.0/":               `"10.0.0.0/" is not a CIDR`,
		"10.0.0.0/24-10.0.1.0/24": `"10.0.0.0/24" is not an IP address`,
		"10.0.0.9-10.0.0.1":       "the range ends at 10.0.0.1, before it starts at 10.0.0.9",
		"10.0.0.1-fd00::1":        "10.0.0.1 and fd00::1 are of different families",
		"10.0.0.1-5":              `"5" is not an IP address`,
		"fe80::1%eth0":            "fe80::1%eth0 has a zone",
		"::ffff:10.0.0.1":         "::ffff:10.0.0.1 is an IPv4 address in IPv6 form, write 10.0.0.1",
		"::ffff:10.0.0.0/120":     "::ffff:10.0.0.0 is an IPv4 address in IPv6 form, write 10.0.0.0",
	} {
		if _, err := ParseRange(s); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", s, err, want)
		}
	}
}

func TestHasHostBits(t *testing.T) {
	for s, want := range map[string]bool{
		"10.0.0.0/24": false, "10.0.0.1/24": true, "\t10.0.0.1/24": true, "10.0.0.1/32": false, "fd00::1/64": true,
		"fd00::/64": false, "10.0.0.1": false, "10.0.0.1-10.0.0.9": false, "nonsense": false,
	} {
		if got := HasHostBits(s); got != want {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	}
}

func TestRangeSets(t *testing.T) {
	parse := func(s string) Range {
		r, err := ParseRange(s)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	middle := parse("10.0.0.10-10.0.0.20")
	for s, want := range map[string]bool{
		"10.0.0.0-10.0.0.9": false, "10.0.0.0-10.0.0.10": true, "10.0.0.12": true, "10.0.0.20-10.0.0.30": true,
		"10.0.0.21-10.0.0.30": false, "10.0.0.0/24": true, "::a00:a-::a00:14": false,
	} {
		if r := parse(s); middle.Overlaps(r) != want || r.Overlaps(middle) != want {
			t.Errorf("%s overlaps %s: want %v", middle, s, want)
		}
	}
	for s, want := range map[string]bool{"10.0.0.9": false, "10.0.0.10": true, "10.0.0.20": true, "10.0.0.21": false, "::a00:a": false} {
		if got := middle.Contains(netip.MustParseAddr(s)); got != want {
			t.Errorf("%s contains %s: %v", middle, s, got)
		}
	}
	if link := parse("fe80::/64"); link.Contains(netip.MustParseAddr("fe80::1%eth0")) || !link.Contains(netip.MustParseAddr("fe80::1")) {
		t.Error("an address with a zone is in no range")
	}
	zero := Range{}
	if zero.IsValid() || zero.String() != "invalid range" {
		t.Error("the zero range is valid")
	}
}

// What is read is a range that its own text is read as again, and nothing panics.
func FuzzParseRange(f *testing.F) {
	for _, s := range strings.Fields("10.0.0.0/24 10.0.0.1-10.0.0.9 10.0.0.7 fd00::/64 fd00::1-fd00::ff :: 0.0.0.0/0 ::/0 fe80::1%x ::ffff:1.2.3.4") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRange(s)
		HasHostBits(s)
		if err != nil {
			if text := err.Error(); text == "" || strings.Contains(text, "\n") {
				t.Errorf("%q: unreadable error %q", s, text)
			}
			return
		}
		if !r.IsValid() || !r.Contains(r.From) || !r.Contains(r.To) || r.Size().Sign() <= 0 {
			t.Fatalf("%q: %s is not valid", s, r)
		}
		again, err := ParseRange(r.String())
		if err != nil || again != r {
			t.Errorf("%q: its text %q is %v, %v", s, r, again, err)
		}
		if _, err := New([]Pool{{Name: "a", Ranges: []Range{r}}}); err != nil {
			t.Errorf("%q: %v", s, err)
		}
	})
}
