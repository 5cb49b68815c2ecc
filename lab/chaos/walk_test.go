package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
)

// most is how many Services there are at most, and workers how many change them at the same time.
const (
	most    = 200
	workers = 8
)

// walk creates, changes and deletes Services at random until ctx ends or it has done so many steps. Each worker has
// Services of its own, so that the same seed gives the same steps.
func (w *world) walk(ctx context.Context, seed uint64, steps int) {
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(worker)))
			for range steps / workers {
				if ctx.Err() != nil {
					return
				}
				name := fmt.Sprintf("web-%d-%d", worker, r.IntN(most/workers))
				if err := w.step(r, name); err != nil {
					w.t.Errorf("%s: %v", name, err)
					return
				}
			}
		})
	}
	all.Wait()
}

// step does something with one Service.
func (w *world) step(r *rand.Rand, name string) error {
	services := w.client.CoreV1().Services(w.load)
	ctx := context.Background()
	now, err := services.Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = services.Create(ctx, w.random(r, name), metav1.CreateOptions{})
		return err
	case err != nil:
		return err
	case r.IntN(10) < 4:
		return services.Delete(ctx, name, metav1.DeleteOptions{})
	case r.IntN(10) == 0: // gone and back in the same instant
		if err := services.Delete(ctx, name, metav1.DeleteOptions{}); err != nil {
			return err
		}
		_, err = services.Create(ctx, w.random(r, name), metav1.CreateOptions{})
		return err
	}
	shape := w.random(r, name)
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		now, err = services.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		now.Labels["changed"] = fmt.Sprint(r.IntN(1000))
		if now.Annotations[sharing] == "" { // another port might end a sharing, which may cost an address
			now.Spec.Ports[0].Port = shape.Spec.Ports[0].Port
		}
		_, err = services.Update(ctx, now, metav1.UpdateOptions{})
		return err
	})
}

// unproxied keeps kube-proxy from programming Services that nobody calls.
const unproxied = "service.kubernetes.io/service-proxy-name"

const sharing = "network-lb.kontena.io/allow-shared-ip"

// random makes a Service of one family or both, now and then with a sharing key or an address that it asks for.
func (w *world) random(r *rand.Rand, name string) *corev1.Service {
	allocate, policy := false, corev1.IPFamilyPolicySingleStack
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{unproxied: "none"}, Annotations: map[string]string{}},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, LoadBalancerClass: w.class(), AllocateLoadBalancerNodePorts: &allocate,
			IPFamilyPolicy: &policy, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol},
			Ports: []corev1.ServicePort{{Port: int32(1000 + r.IntN(60000))}},
		},
	}
	switch r.IntN(10) {
	case 0:
		s.Spec.IPFamilies[0] = corev1.IPv6Protocol
	case 1, 2:
		policy = corev1.IPFamilyPolicyPreferDualStack
		s.Spec.IPFamilies = append(s.Spec.IPFamilies, corev1.IPv6Protocol)
	case 3:
		policy = corev1.IPFamilyPolicyRequireDualStack
		s.Spec.IPFamilies = append(s.Spec.IPFamilies, corev1.IPv6Protocol)
	case 4, 5:
		s.Annotations[sharing] = fmt.Sprint("key-", r.IntN(4))
	case 6:
		s.Annotations["network-lb.kontena.io/load-balancer-ips"] = fmt.Sprintf("10.77.0.%d", r.IntN(size))
	}
	return s
}
