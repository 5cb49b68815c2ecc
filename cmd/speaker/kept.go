package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/bgp/bfd"
	"github.com/kontena/network-lb/internal/atomicfile"
)

// kept are the BFD sessions that a file says the next process may resume.
type kept struct {
	file  string // empty: there is none
	write func(path string, content []byte) error

	mu      sync.Mutex // held while the file is written: what is written later is newer
	saved   []bfd.Saved
	content string // of the file, as far as we know
}

// openKept reads what the last process left. On an error there is nothing, and it can be written all the same.
func openKept(file string) (*kept, error) {
	k := &kept{file: file, write: atomicfile.Write}
	if file == "" {
		return k, nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	k.content = string(text)
	if err == nil {
		err = json.Unmarshal(text, &k.saved)
	}
	if err != nil {
		k.saved = nil
		return k, fmt.Errorf("reading %s: %w", file, err)
	}
	return k, nil
}

// update changes what the file says, and returns when it does. Nobody else changes it meanwhile.
func (k *kept) update(change func([]bfd.Saved) []bfd.Saved) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.saved = change(slices.Clone(k.saved))
	if k.file == "" || k.content == "" && len(k.saved) == 0 {
		return nil
	}
	text, err := json.Marshal(k.saved)
	if err == nil && string(text) != k.content {
		err = k.write(k.file, text)
	}
	if err != nil {
		return fmt.Errorf("keeping BFD sessions: %w", err)
	}
	k.content = string(text)
	return nil
}

// replace puts what is saved of a target's session in the place of what was, or nothing where saving it failed.
func replace(all []bfd.Saved, t bgp.Target, by bfd.Saved, failed error) []bfd.Saved {
	all = slices.DeleteFunc(all, func(s bfd.Saved) bool { return isOf(s, t) })
	if failed != nil {
		return all
	}
	return append(all, by)
}

// isOf is whether a saved session is the one with a target. Link-local addresses are many times on a node, once on each
// interface; over several hops the interface plays no part.
func isOf(s bfd.Saved, t bgp.Target) bool {
	return s.Local.WithZone("") == t.Local.WithZone("") && s.Remote.WithZone("") == t.Remote.WithZone("") &&
		s.Multihop == t.Multihop && (t.Multihop || cmp.Or(s.Interface, s.Remote.Zone()) == cmp.Or(t.Interface, t.Remote.Zone()))
}
