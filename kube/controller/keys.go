package controller

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/kontena/network-lb/kube/objects"
)

// keyRetry is after what time a key is tried again that could not be written.
const keyRetry = 5 * time.Second

// keepKey sees to it until ctx ends that the Secret of the speakers' membership has a key. One that is there, whoever
// made it, stays.
func (c *Controller) keepKey(ctx context.Context) {
	if c.opts.Membership == "" {
		return
	}
	changed := make(chan struct{}, 1)
	look := func(o any) {
		if s, ok := o.(*corev1.Secret); ok && s.Name == c.opts.Membership && len(s.Data[objects.MembershipKey]) == 0 {
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	}
	informer := coreinformers.NewFilteredSecretInformer(c.opts.Client, c.opts.Namespace, 0, nil, func(l *metav1.ListOptions) {
		l.FieldSelector = fields.OneTermEqualSelector("metadata.name", c.opts.Membership).String()
	})
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{ // it fails only where an informer has ended
		AddFunc: look, UpdateFunc: func(_, o any) { look(o) },
	})
	var watching sync.WaitGroup
	watching.Go(func() { informer.RunWithContext(ctx) })
	defer watching.Wait()
	var retry <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-retry:
		}
		retry = nil
		if err := c.makeKey(ctx); err != nil && ctx.Err() == nil {
			c.log.Warn("the key of the speakers' membership", zap.Error(err))
			retry = time.After(keyRetry)
		}
	}
}

// makeKey writes a key into the Secret if there is none. Another write meanwhile is a conflict.
func (c *Controller) makeKey(ctx context.Context) error {
	secrets := c.opts.Client.CoreV1().Secrets(c.opts.Namespace)
	secret, err := secrets.Get(ctx, c.opts.Membership, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("reading the Secret %s/%s: %w", c.opts.Namespace, c.opts.Membership, err)
	}
	if len(secret.Data[objects.MembershipKey]) > 0 {
		return nil
	}
	key := make([]byte, 32) // AES-256
	_, _ = rand.Read(key)   // it never fails
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": secret.ResourceVersion},
		"data":     map[string][]byte{objects.MembershipKey: []byte(base64.StdEncoding.EncodeToString(key))},
	})
	if err != nil {
		return err
	}
	_, err = secrets.Patch(ctx, c.opts.Membership, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "network-lb-controller"})
	if err != nil {
		return fmt.Errorf("writing a key into the Secret %s/%s: %w", c.opts.Namespace, c.opts.Membership, err)
	}
	c.log.Info("the speakers' membership has a key from now on", zap.String("secret", c.opts.Membership))
	return nil
}
