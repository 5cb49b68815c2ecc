package document

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/kontena/network-lb/kube/api"
)

// Place is an object that holds a document.
type Place struct{ kind, namespace, name string }

// InConfigMap is the document in a ConfigMap, under Key.
func InConfigMap(namespace, name string) Place { return Place{"ConfigMap", namespace, name} }

// InSecret is the accepted document in a Secret, under Key and GenerationKey.
func InSecret(namespace, name string) Place { return Place{"Secret", namespace, name} }

// String names the object.
func (p Place) String() string { return fmt.Sprintf("the %s %s/%s", p.kind, p.namespace, p.name) }

// Follow tells of the document in a place until ctx ends: how it is found, also where there is none, and each time
// that its object has changed. changed is called from one goroutine at a time.
func Follow(ctx context.Context, client api.Client, p Place, changed func(Version)) error {
	var informer cache.SharedIndexInformer
	if p.kind == "Secret" {
		informer = api.Informer(client, client.Secrets(p.namespace), &corev1.Secret{}, api.Named(p.name))
	} else {
		informer = api.Informer(client, client.ConfigMaps(p.namespace), &corev1.ConfigMap{}, api.Named(p.name))
	}
	var turn sync.Mutex
	told := false
	tell := func(v Version) {
		turn.Lock()
		defer turn.Unlock()
		told = true
		changed(v)
	}
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { tell(p.read(o)) },
		UpdateFunc: func(_, o any) { tell(p.read(o)) },
		DeleteFunc: func(any) { tell(p.none()) },
	})
	if err != nil {
		return fmt.Errorf("watching %s: %w", p, err)
	}
	go informer.RunWithContext(ctx)
	go func() {
		if !cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
			return
		}
		turn.Lock()
		defer turn.Unlock()
		if !told {
			changed(p.none())
		}
	}()
	return nil
}

// Read reads the document in a place once, as the API server has it now. The error is that of the API server; where
// the object is not there, or holds no valid document, the version says so.
func Read(ctx context.Context, client api.Client, p Place) (Version, error) {
	var o any
	var err error
	if p.kind == "Secret" {
		o, err = client.Secrets(p.namespace).Get(ctx, p.name, metav1.GetOptions{})
	} else {
		o, err = client.ConfigMaps(p.namespace).Get(ctx, p.name, metav1.GetOptions{})
	}
	switch {
	case apierrors.IsNotFound(err):
		return p.none(), nil
	case err != nil:
		return Version{}, fmt.Errorf("reading %s: %w", p, err)
	}
	return p.read(o), nil
}

// Holding returns the version that a Secret with this data is, wherever that is known from; nil is none.
func (p Place) Holding(data map[string][]byte) Version {
	if data == nil {
		return p.none()
	}
	return p.read(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: p.name}, Data: data})
}

// none is the version where there is no object.
func (p Place) none() Version {
	return Version{Err: fmt.Errorf("there is no %s %s/%s; the chart makes it", p.kind, p.namespace, p.name)}
}

// read returns the version that an object holds.
func (p Place) read(o any) Version {
	var text string
	var found bool
	var generation int64
	var leaving *string
	meta := metav1.ObjectMeta{}
	switch o := o.(type) {
	case *corev1.ConfigMap:
		text, found = o.Data[Key]
		meta = o.ObjectMeta
	case *corev1.Secret:
		var data []byte
		data, found = o.Data[Key]
		text, meta = string(data), o.ObjectMeta
		if class, there := o.Data[LeavingKey]; there {
			leaving = new(string(class))
		}
		generation, _ = strconv.ParseInt(string(o.Data[GenerationKey]), 10, 64) // one that was spoilt begins anew
	}
	v := Version{}
	switch {
	case found:
		v = Parse(text)
	case p.kind == "Secret":
		v.Err = fmt.Errorf("%s holds no accepted configuration yet", p)
	default:
		v.Err = fmt.Errorf("%s has no key %q", p, Key)
	}
	v.Generation, v.Leaving = generation, leaving
	v.Object = corev1.ObjectReference{
		APIVersion: "v1", Kind: p.kind, Namespace: meta.Namespace, Name: meta.Name, UID: meta.UID, ResourceVersion: meta.ResourceVersion,
	}
	return v
}
