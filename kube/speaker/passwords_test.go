package speaker

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kontena/network-lb/bgp"
)

const secured = `
address_pools: [{name: routed, protocol: bgp, addresses: [10.1.0.0/24]}]
peers:
- {peer_address: 192.0.2.1, peer_asn: 64501, my_asn: 64500, password_secret: {name: tor, key: one}}
- {peer_address: 192.0.2.2, peer_asn: 64501, my_asn: 64500, password: plain}
`

// wantPasswords checks the passwords of the peers that are set, as "192.0.2.1=secret", and the problem of the others.
func wantPasswords(t *testing.T, s *Speaker, r *recorder, problem string, want ...string) {
	t.Helper()
	var got []string
	for _, p := range r.peers {
		got = append(got, fmt.Sprintf("%s=%s", p.Title(), string(p.Password)))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the peers are %q, want %q", got, want)
	}
	shown := ""
	for _, session := range s.Status().BGP {
		if session.State == bgp.Idle {
			shown += session.Problem
		}
	}
	if !strings.Contains(shown, problem) || problem == "" && shown != "" {
		t.Errorf("the status shows the problem %q, want %q", shown, problem)
	}
}

func TestPasswords(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.populate("10.1.0.1")
		c.configure(secured)
		r := &recorder{}
		s := c.start(c, r, &r.claims, nil)
		const other = "192.0.2.2=plain"
		wantPasswords(t, s, r, "there is no Secret system/tor", other)
		c.secret("tor", map[string]string{"two": "x"})
		wantPasswords(t, s, r, `the Secret system/tor has no key "one"`, other)
		c.secret("tor", map[string]string{"one": strings.Repeat("x", 81)})
		wantPasswords(t, s, r, "want at most 80", other)
		c.secret("tor", map[string]string{"one": "\n"})
		wantPasswords(t, s, r, `the password under "one" in the Secret system/tor is empty`, other)
		c.secret("tor", map[string]string{"one": "secret\n"})
		wantPasswords(t, s, r, "", "192.0.2.1=secret", other)
		c.secret("tor", map[string]string{"one": "another"})
		wantPasswords(t, s, r, "", "192.0.2.1=another", other)

		// What was good once stays in force.
		for _, data := range []map[string]string{{"one": ""}, {}, nil} {
			c.secret("tor", data)
			wantPasswords(t, s, r, "", "192.0.2.1=another", other)
		}
		c.configure(both)
		if len(s.passwords.secrets) > 0 {
			t.Error("a Secret is followed that nobody names any more")
		}
	})
}

// A Secret that may not be read is said to be so; the sessions that need none are there.
func TestForbiddenPassword(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.PrependReactor("list", "secrets", func(a clienttesting.Action) (bool, runtime.Object, error) {
			if name, _ := a.(clienttesting.ListAction).GetListRestrictions().Fields.RequiresExactMatch("metadata.name"); name == "tor" {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, name, errors.New("not in the Role"))
			}
			return false, nil, nil
		})
		c.populate("10.1.0.1")
		c.configure(secured)
		r := &recorder{}
		s := c.start(c, r, &r.claims, nil)
		wantPasswords(t, s, r, "not in the Role", "192.0.2.2=plain")
	})
}
