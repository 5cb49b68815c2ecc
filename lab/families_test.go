package lab

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestFamiliesWords(t *testing.T) {
	for f, word := range map[Families]string{Dual: "dual", IPv4: "ipv4", IPv6: "ipv6"} {
		data, err := json.Marshal(summary{Families: f})
		if err != nil || !strings.Contains(string(data), `"families":"`+word+`"`) {
			t.Errorf("%s is written %s, %v", word, data, err)
		}
		var back summary
		if err := json.Unmarshal(data, &back); err != nil || back.Families != f {
			t.Errorf("%s is read as %s, %v", data, back.Families, err)
		}
	}
	f := IPv6
	if err := f.UnmarshalText([]byte("IPv4")); err == nil || f != IPv6 || !strings.Contains(err.Error(), `"IPv4" is not one of dual, ipv4 and ipv6`) {
		t.Errorf("a wrong word gives %s, %v", f, err)
	}
	if got := Families(7).String(); got != "Families(7)" {
		t.Errorf("an unknown value is called %q", got)
	}
}

// A state that was written before there was a choice is of a dual-stack cluster.
func TestFamiliesOfOldState(t *testing.T) {
	var s summary
	if err := json.Unmarshal([]byte(`{"binaries": {}}`), &s); err != nil || s.Families != Dual {
		t.Errorf("read %s, %v", s.Families, err)
	}
}

func TestHostsOfOneFamily(t *testing.T) {
	for _, h := range Hosts {
		if !h.LAN {
			continue
		}
		v4, v6 := h.LANAddrs(IPv4), h.LANAddrs(IPv6)
		if !h.inCluster() {
			if len(v4) != 2 || len(v6) != 2 {
				t.Errorf("%s has %v and %v, want both families always", h.Name, v4, v6)
			}
			continue
		}
		if len(v4) != 1 || !v4[0].Is4() || len(v6) != 1 || !v6[0].Is6() {
			t.Errorf("%s has %v with IPv4 and %v with IPv6", h.Name, v4, v6)
		}
	}
	for f, want := range map[Families]string{
		Dual: "https://10.88.0.10:6443", IPv4: "https://10.88.0.10:6443", IPv6: "https://[fd00:88::10]:6443",
	} {
		if got := apiURL(f); got != want {
			t.Errorf("%s: the API server is %s, want %s", f, got, want)
		}
	}
}
