package speaker

import (
	"context"
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/kube/api"
)

// passwords follows the Secrets that hold the peers' passwords, each by its name. A password that was known once
// stays known: a Secret that goes away, or is not valid any more, ends no session. Until the API server has told, a
// Secret counts as it is mounted, if it is.
type passwords struct {
	client    api.Client
	namespace string
	folder    string // where they are mounted
	changed   func()

	mu      sync.Mutex
	secrets map[string]*secret // by name
}

// secret is a Secret that is followed.
type secret struct {
	end   context.CancelFunc
	known map[string]bgp.Password // by key, as it was valid last
	wrong map[string]error        // what is wrong with the present value
	err   error                   // why the Secret as a whole cannot be read
}

func newPasswords(o Options, changed func()) *passwords {
	return &passwords{client: o.Client, namespace: o.Namespace, folder: o.Mounted, changed: changed, secrets: map[string]*secret{}}
}

// follow follows the Secrets that the peers name, and no others.
func (p *passwords) follow(peers []config.Peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wanted := map[string]bool{}
	for _, peer := range peers {
		if name := peer.PasswordSecret.Name; name != "" {
			wanted[name] = true
			if p.secrets[name] == nil {
				p.secrets[name] = p.start(name)
			}
		}
	}
	for name, s := range p.secrets {
		if !wanted[name] {
			s.end()
			delete(p.secrets, name)
		}
	}
}

// stop follows nothing any more.
func (p *passwords) stop() { p.follow(nil) }

// start watches one Secret.
func (p *passwords) start(name string) *secret {
	ctx, end := context.WithCancel(context.Background())
	s := &secret{end: end, known: map[string]bgp.Password{}, err: fmt.Errorf("the Secret %s/%s has not been read yet", p.namespace, name)}
	switch data, err := mounted(p.folder, name); {
	case err != nil:
		s.err = err
	case data != nil:
		s.read(data)
	}
	informer := api.Informer(p.client, p.client.Secrets(p.namespace), &corev1.Secret{}, api.Named(name))
	update := func(change func()) {
		p.mu.Lock()
		change()
		p.mu.Unlock()
		p.changed()
	}
	none := func() { s.err = fmt.Errorf("there is no Secret %s/%s", p.namespace, name) }
	read := func(o any) {
		if o, ok := o.(*corev1.Secret); ok {
			update(func() { s.read(o.Data) })
		}
	}
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{ // it fails only where an informer has ended
		AddFunc: read, UpdateFunc: func(_, o any) { read(o) }, DeleteFunc: func(any) { update(none) },
	})
	_ = informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) { // likewise
		update(func() {
			if len(s.known) == 0 { // else the watch has ended, and begins again
				s.err = fmt.Errorf("reading the Secret %s/%s: %w", p.namespace, name, err)
			}
		})
	})
	go informer.RunWithContext(ctx)
	go func() {
		if cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) && len(informer.GetStore().List()) == 0 {
			update(none)
		}
	}()
	return s
}

// read takes over what is in a Secret.
func (s *secret) read(all map[string][]byte) {
	s.err, s.wrong = nil, map[string]error{}
	for key, data := range all {
		// A file that a password was written into ends with a newline, which no router's configuration can hold.
		password := bgp.Password(strings.TrimRight(string(data), "\r\n"))
		switch err := password.Validate(); {
		case err != nil:
			s.wrong[key] = err
		case password == "":
			s.wrong[key] = fmt.Errorf("empty")
		default:
			s.known[key] = password
		}
	}
	for key := range s.known {
		if _, there := all[key]; !there {
			s.wrong[key] = fmt.Errorf("missing")
		}
	}
}

// of returns a peer's password; "" if it has none. With an error it is the one that was valid last, or "".
func (p *passwords) of(peer config.Peer) (bgp.Password, error) {
	at := peer.PasswordSecret
	if at.Name == "" {
		return peer.Password, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.secrets[at.Name]
	if s == nil {
		return "", fmt.Errorf("the Secret %s/%s is not followed", p.namespace, at.Name)
	}
	password, known := s.known[at.Key]
	switch {
	case s.err != nil:
		return password, s.err
	case s.wrong[at.Key] != nil:
		return password, fmt.Errorf("the password under %q in the Secret %s/%s is %w", at.Key, p.namespace, at.Name, s.wrong[at.Key])
	case !known:
		return "", fmt.Errorf("the Secret %s/%s has no key %q", p.namespace, at.Name, at.Key)
	}
	return password, nil
}
