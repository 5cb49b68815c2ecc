package speaker

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/kube/document"
)

const (
	keptFormat = 1         // what the file looks like; it counts up when that changes
	keptFor    = time.Hour // how old it may be
)

// kept is what a speaker leaves to the next process on its node, for the case that the API server does not answer that
// one: what is known of the cluster, and of which run it is. No password and no key is in it.
type kept struct {
	keptHead
	services []announce.Service
	written  time.Time // when it still held
}

type keptHead struct {
	Format int       `json:"format"`
	Node   string    `json:"node"` // its name and UID, and its boot
	UID    types.UID `json:"uid"`
	Boot   string    `json:"boot"`
	// Document is the configuration that was in force, and Generation the number of documents accepted until then. It is
	// empty where it holds a password: then only the mounted Secret has it.
	Document   string          `json:"document,omitempty"`
	Generation int64           `json:"generation"`
	Class      string          `json:"class"` // of the Services
	Nodes      []announce.Node `json:"nodes"`
	Places     []string        `json:"places"`   // nodes with a speaker's Pod
	Services   int             `json:"services"` // how many follow, one after the other
}

// keep returns what is to be kept of a view of the cluster; nil where it is not of use: the node is not in it.
func (s *Speaker) keep(v announce.View) *kept {
	in := s.document.Version()
	uid, _ := s.state.uid(s.opts.Node)
	if in == nil || uid == "" || s.opts.BootID == "" {
		return nil
	}
	k := &kept{keptHead: keptHead{
		Format: keptFormat, Node: s.opts.Node, UID: uid, Boot: s.opts.BootID, Generation: in.Generation, Class: in.Config.LoadBalancerClass, Nodes: v.Nodes,
		Places: slices.Sorted(maps.Keys(s.state.places())), Services: len(v.Services),
	}, services: v.Services}
	if !slices.ContainsFunc(in.Config.Peers, func(p config.Peer) bool { return p.Password != "" }) {
		k.Document = in.Text
	}
	return k
}

// encode writes it compressed, with a checksum.
func (k *kept) encode(to io.Writer) error {
	packed, err := gzip.NewWriterLevel(to, gzip.BestSpeed)
	if err != nil {
		return err
	}
	out := json.NewEncoder(packed)
	if err := out.Encode(k.keptHead); err != nil {
		return err
	}
	for _, s := range k.services {
		s.Rebalance = false // it lasts for seconds
		if err := out.Encode(s); err != nil {
			return err
		}
	}
	return packed.Close()
}

// decode reads what encode wrote.
func (k *kept) decode(from io.Reader) error {
	packed, err := gzip.NewReader(from)
	if err != nil {
		return err
	}
	in := json.NewDecoder(packed)
	if err := in.Decode(&k.keptHead); err != nil {
		return err
	}
	if k.Format != keptFormat {
		return fmt.Errorf("it is of another version: format %d, not %d", k.Format, keptFormat)
	}
	for range k.keptHead.Services {
		var s announce.Service
		if err := in.Decode(&s); err != nil {
			return err
		}
		k.services = append(k.services, s)
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) { // the checksum is looked at here
		return fmt.Errorf("after the last Service: %w", err)
	}
	return nil
}

// readKept reads the file. An error that is fs.ErrNotExist says that nothing was kept.
func readKept(file string) (*kept, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	k := &kept{written: info.ModTime()}
	if err := k.decode(f); err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	return k, nil
}

// usable returns nil if a process on this node may act on it now; uid is the Node's, as far as that has been seen.
func (k *kept) usable(o Options, uid types.UID, now time.Time) error {
	age := now.Sub(k.written).Round(time.Second)
	switch {
	case k.Node != o.Node:
		return fmt.Errorf("it is of the node %s", k.Node)
	case k.Boot != o.BootID:
		return errors.New("the node has booted since")
	case uid != "" && k.UID != uid:
		return errors.New("the Node is another one of the same name")
	case age.Abs() > keptFor:
		return fmt.Errorf("it is %s old; an hour is the most", age)
	}
	return nil
}

// version returns the document that was in force, or one that was accepted later, as far as that is mounted.
func (k *kept) version(o Options) (document.Version, error) {
	if k.Document != "" {
		v := document.Parse(k.Document)
		v.Generation = k.Generation
		return v, v.Err
	}
	data, err := mounted(o.Mounted, o.LastGood)
	if err != nil {
		return document.Version{}, err
	}
	v := document.InSecret(o.Namespace, o.LastGood).Holding(data)
	if v.Err == nil && v.Generation < k.Generation {
		v.Err = fmt.Errorf("the mounted document is number %d, and number %d was in force", v.Generation, k.Generation)
	}
	return v, v.Err
}
