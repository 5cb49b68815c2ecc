package config

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/kontena/network-lb/ipam"
)

// Whatever the document, Parse returns, what it accepts the allocator accepts, and no text shows a password.
func FuzzParse(f *testing.F) {
	f.Add([]byte(everything))
	for _, tc := range slices.Concat(refusals, bgpRefusals) {
		f.Add([]byte(tc.document))
	}
	f.Add([]byte("kontena-network-lb:\n  guard: warn\n  " + onePool))
	f.Fuzz(func(t *testing.T, document []byte) {
		c, warnings, err := Parse(document)
		if shown := fmt.Sprint(sentences(warnings), err); onlyPasswords(document) && strings.Contains(shown, secretWord) {
			t.Errorf("a password is shown: %s", shown)
		}
		values, valuesWarnings, valuesErr := ParseValues(document)
		if shown := fmt.Sprint(sentences(valuesWarnings), valuesErr); onlyPasswords(document) && strings.Contains(shown, secretWord) {
			t.Errorf("a password is shown: %s", shown)
		}
		if !bytes.Contains(document, []byte(chartName)) && err == nil && (valuesErr != nil || !values.Equal(c)) {
			t.Errorf("read as values: %v", valuesErr)
		}
		if err != nil {
			mistakes := Mistakes(err)
			if len(mistakes) == 0 || !c.Equal(Config{}) {
				t.Fatalf("mistakes %v, config %+v", mistakes, c)
			}
			for i, m := range mistakes {
				if m.Problem == "" || m.Remedy == "" || i > 0 && m.Line < mistakes[i-1].Line {
					t.Errorf("mistake %d: %#v", i, m)
				}
			}
			return
		}
		if c.Enabled && len(c.Pools) == 0 {
			t.Error("no pool, and no error")
		}
		allocator, err := ipam.New(c.AllocatorPools())
		if err != nil {
			t.Fatalf("the allocator refuses the pools: %v", err)
		}
		if _, err := allocator.SetPools(nil, c.Release...); err != nil {
			t.Errorf("the allocator refuses the release: %v", err)
		}
		for _, p := range c.Peers {
			if err := p.Validate(); err != nil {
				t.Errorf("the BGP speaker refuses peer %s: %v", p.Name, err)
			}
		}
	})
}

const secretWord = "hunter2"

// onlyPasswords reports whether the secret word is in the document only as a peer's password.
func onlyPasswords(document []byte) bool {
	r := &reader{}
	root, ok := r.document(document)
	if !ok {
		return bytes.Count(document, []byte("password: "+secretWord)) == bytes.Count(document, []byte(secretWord))
	}
	f := r.fields(root, theDocument)
	peers, ok := f.get("peers")
	if !ok || peers.Kind != yaml.SequenceNode {
		return false
	}
	passwords := 0
	for _, peer := range r.list(peers) {
		if peer.Kind != yaml.MappingNode {
			continue
		}
		if v, ok := r.fields(peer, aPeer).get("password"); ok && v.Kind == yaml.ScalarNode {
			passwords += strings.Count(v.Value+v.Tag, secretWord)
		}
	}
	return passwords == bytes.Count(document, []byte(secretWord))
}
