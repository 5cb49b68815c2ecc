package speaker

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/kontena/network-lb/kube/api"
	"github.com/kontena/network-lb/kube/objects"
)

// keyring follows the Secret with the keys of the membership. Keys that were known once stay known: a Secret that goes
// away, or is spoilt, ends nothing. Until the API server has told, the Secret counts as it is mounted, if it is.
type keyring struct {
	place   string // the Secret, for people
	changed func()

	mu   sync.Mutex
	keys [][]byte // the first encrypts
	err  error    // why there is none, or not that of the Secret
}

// followKeys follows a Secret until ctx ends.
func followKeys(ctx context.Context, o Options, changed func()) *keyring {
	k := &keyring{place: fmt.Sprintf("the Secret %s/%s", o.Namespace, o.Keys), changed: changed}
	k.err = fmt.Errorf("%s has not been read yet", k.place)
	k.mounted(o)
	informer := api.Informer(o.Client, o.Client.Secrets(o.Namespace), &corev1.Secret{}, api.Named(o.Keys))
	read := func(object any) {
		if s, ok := object.(*corev1.Secret); ok {
			k.take(s.Data)
		}
	}
	none := func() { k.wrong(fmt.Errorf("there is no Secret %s/%s; the chart makes it", o.Namespace, o.Keys)) }
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{ // it fails only where an informer has ended
		AddFunc: read, UpdateFunc: func(_, object any) { read(object) }, DeleteFunc: func(any) { none() },
	})
	go informer.RunWithContext(ctx)
	go func() {
		if cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) && len(informer.GetStore().List()) == 0 {
			none()
		}
	}()
	return k
}

// mounted reads the Secret as it is mounted, if it is.
func (k *keyring) mounted(o Options) {
	data, err := mounted(o.Mounted, o.Keys)
	switch {
	case err != nil:
		k.wrong(err)
	case data != nil:
		k.take(data)
	}
}

// take makes what a Secret holds the keyring, if it is one.
func (k *keyring) take(data map[string][]byte) {
	keys, err := readKeys(data)
	if err != nil {
		k.wrong(fmt.Errorf("%s: %w", k.place, err))
		return
	}
	k.mu.Lock()
	k.keys, k.err = keys, nil
	k.mu.Unlock()
	k.changed()
}

func (k *keyring) wrong(err error) {
	k.mu.Lock()
	k.err = err
	k.mu.Unlock()
	k.changed()
}

// get returns the keys that are known, and what is the matter with the Secret.
func (k *keyring) get() ([][]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.keys, k.err
}

// readKeys returns the keys in a Secret's data: the one that encrypts, and those that decrypt too, in the order of their
// names. Each is base64 of 16, 24 or 32 bytes. No error shows a part of a key.
func readKeys(data map[string][]byte) ([][]byte, error) {
	if len(data[objects.MembershipKey]) == 0 {
		return nil, fmt.Errorf("it has no %q yet; the controller writes it", objects.MembershipKey)
	}
	names := slices.Sorted(maps.Keys(data))
	names = slices.DeleteFunc(names, func(name string) bool { return name == objects.MembershipKey })
	var keys [][]byte
	for _, name := range append([]string{objects.MembershipKey}, names...) {
		key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(data[name])))
		if err != nil {
			return nil, fmt.Errorf("%q is not base64", name)
		}
		if n := len(key); n != 16 && n != 24 && n != 32 {
			return nil, fmt.Errorf("%q is a key of %d bytes; want 16, 24 or 32", name, n)
		}
		keys = append(keys, key)
	}
	return keys, nil
}
