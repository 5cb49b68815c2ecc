package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"

	"github.com/kontena/network-lb/kube/document"
	"github.com/kontena/network-lb/kube/objects"
	"github.com/kontena/network-lb/kube/reports"
)

func TestMain(m *testing.M) {
	klog.SetLogger(klog.Logger{})
	os.Exit(m.Run())
}

// inBubble runs a test in a synctest bubble, where an hour passes at once and time stands still while anybody works.
func inBubble(t *testing.T, f func(*testing.T, *cluster)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newCluster(t)) })
}

// cluster is client-go's fake with what it lacks of an API server and the controller depends on: it gives
// Services resource versions and UIDs, refuses a patch with an old one as a conflict, and defaults ipMode in a
// status. Unlike an API server it validates nothing, fills in no spec, and gives a deletion no resource version.
type cluster struct {
	t *testing.T
	*fake.Clientset
	dynamic *dynamicfake.FakeDynamicClient
	pods    string // the label selector of the speakers' Pods

	mu      sync.Mutex
	patches []string // that were tried, as "namespace/name"
	refuse  func(name string) error
}

var servicesResource = corev1.SchemeGroupVersion.WithResource("services")

func newCluster(t *testing.T) *cluster {
	prod := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "prod", ResourceVersion: "1"}}
	empty := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: "last-good"}}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "controller", UID: "role"}}
	c := &cluster{t: t, Clientset: fake.NewClientset(prod, empty, role), dynamic: dynamicfake.NewSimpleDynamicClientWithCustomListKinds(
		runtime.NewScheme(), map[schema.GroupVersionResource]string{reports.AddressPools: "AddressPoolList", reports.Speakers: "SpeakerList"})}
	number := func(a clienttesting.Action) (bool, runtime.Object, error) {
		if create, ok := a.(clienttesting.CreateAction); ok {
			c.number(create.GetObject().(*corev1.Service))
		}
		return false, nil, nil
	}
	c.PrependReactor("create", "services", number)
	c.PrependReactor("update", "services", number)
	c.PrependReactor("patch", "services", func(a clienttesting.Action) (bool, runtime.Object, error) {
		s, err := c.patch(a.(clienttesting.PatchAction))
		return true, s, err
	})
	return c
}

// number gives a Service that is about to be stored the next resource version, and a UID if it has none.
func (c *cluster) number(s *corev1.Service) {
	list, err := c.Tracker().List(servicesResource, corev1.SchemeGroupVersion.WithKind("Service"), "")
	if err != nil {
		c.t.Fatal(err)
	}
	var last int
	if _, err := fmt.Sscan(list.(*corev1.ServiceList).ResourceVersion, &last); err != nil {
		c.t.Fatal(err)
	}
	s.ResourceVersion = fmt.Sprint(last + 1)
	if s.UID == "" {
		s.UID = types.UID("uid-" + s.ResourceVersion)
	}
}

func (c *cluster) patch(a clienttesting.PatchAction) (*corev1.Service, error) {
	c.mu.Lock()
	c.patches = append(c.patches, a.GetNamespace()+"/"+a.GetName())
	refuse := c.refuse
	c.mu.Unlock()
	if refuse != nil {
		if err := refuse(a.GetName()); err != nil {
			return nil, err
		}
	}
	o, err := c.Tracker().Get(servicesResource, a.GetNamespace(), a.GetName())
	if err != nil {
		return nil, err
	}
	before := o.(*corev1.Service)
	var guard struct{ Metadata metav1.ObjectMeta }
	if err := json.Unmarshal(a.GetPatch(), &guard); err != nil {
		return nil, err
	}
	if a.GetSubresource() != "status" || a.GetPatchType() != types.StrategicMergePatchType {
		return nil, errors.New("not a strategic merge patch of a status")
	}
	if guard.Metadata.UID != before.UID || guard.Metadata.ResourceVersion != before.ResourceVersion {
		return nil, apierrors.NewConflict(servicesResource.GroupResource(), a.GetName(), errors.New("the object has been modified"))
	}
	old, err := json.Marshal(before)
	if err != nil {
		return nil, err
	}
	merged, err := strategicpatch.StrategicMergePatch(old, a.GetPatch(), before)
	if err != nil {
		return nil, err
	}
	after := &corev1.Service{}
	if err := json.Unmarshal(merged, after); err != nil {
		return nil, err
	}
	vip := corev1.LoadBalancerIPModeVIP
	for i := range after.Status.LoadBalancer.Ingress {
		after.Status.LoadBalancer.Ingress[i].IPMode = &vip
	}
	c.number(after)
	return after, c.Tracker().Update(servicesResource, after, a.GetNamespace())
}

// refusing makes every patch fail for which f returns an error.
func (c *cluster) refusing(f func(name string) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = f
}

// written returns the Services that were patched, or tried to be, since it was called last.
func (c *cluster) written() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.patches
	c.patches = nil
	slices.Sort(p)
	return p
}

// born is when the oldest Service of a test was created.
var born = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// add creates the Service prod/name of type LoadBalancer, an hour younger than the one before it.
func (c *cluster) add(name string, changes ...func(*corev1.Service)) {
	c.t.Helper()
	list, err := c.CoreV1().Services("prod").List(c.t.Context(), metav1.ListOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "prod", Name: name,
			CreationTimestamp: metav1.NewTime(born.Add(time.Duration(len(list.Items)) * time.Hour)),
		},
		Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}},
	}
	for _, f := range changes {
		f(s)
	}
	if _, err := c.CoreV1().Services("prod").Create(c.t.Context(), s, metav1.CreateOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) get(name string) *corev1.Service {
	c.t.Helper()
	s, err := c.CoreV1().Services("prod").Get(c.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	return s
}

// change updates the Service and lets the controller react.
func (c *cluster) change(name string, f func(*corev1.Service)) {
	c.t.Helper()
	s := c.get(name)
	f(s)
	if _, err := c.CoreV1().Services("prod").Update(c.t.Context(), s, metav1.UpdateOptions{}); err != nil {
		c.t.Fatal(err)
	}
	settle()
}

func (c *cluster) remove(name string) {
	c.t.Helper()
	if err := c.CoreV1().Services("prod").Delete(c.t.Context(), name, metav1.DeleteOptions{}); err != nil {
		c.t.Fatal(err)
	}
	settle()
}

// want checks what the Service's status shows, as "10.0.0.1,fd00::1 Allocated"; "-" stands for nothing.
func (c *cluster) want(name, status string) {
	c.t.Helper()
	s := objects.FromService(c.get(name))
	got := "-"
	if len(s.Status) > 0 {
		got = strings.ReplaceAll(join(s.Status), ", ", ",")
	}
	if s.Allocated == nil {
		got += " -"
	} else {
		got += " " + s.Allocated.Reason
	}
	if got != status {
		c.t.Errorf("%s shows %q, want %q (%+v)", name, got, status, s.Allocated)
	}
}

// configure writes the ConfigMap with this text and lets the controller react; empty text deletes it.
func (c *cluster) configure(text string) {
	c.t.Helper()
	maps := c.CoreV1().ConfigMaps("system")
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: "config"}, Data: map[string]string{document.Key: text}}
	var err error
	if text == "" {
		err = maps.Delete(c.t.Context(), "config", metav1.DeleteOptions{})
	} else if _, err = maps.Update(c.t.Context(), cm, metav1.UpdateOptions{}); apierrors.IsNotFound(err) {
		_, err = maps.Create(c.t.Context(), cm, metav1.CreateOptions{})
	}
	if err != nil {
		c.t.Fatal(err)
	}
	settle()
}

// kept returns the accepted copy, and its generation.
func (c *cluster) kept() string {
	c.t.Helper()
	s, err := c.CoreV1().Secrets("system").Get(c.t.Context(), "last-good", metav1.GetOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	return string(s.Data[document.Key]) + " " + string(s.Data[document.GenerationKey])
}

// pool is a configuration of one pool with these addresses.
func pool(addresses ...string) string {
	return fmt.Sprintf("address_pools: [{name: main, protocol: layer2, addresses: [%s]}]\n", strings.Join(addresses, ", "))
}

// events returns the reasons of all Events about the object, in the order of their creation.
func (c *cluster) events(name string) []string {
	var out []string
	for _, a := range c.Actions() {
		if create, ok := a.(clienttesting.CreateAction); ok && a.GetResource().Resource == "events" {
			if e := create.GetObject().(*corev1.Event); e.InvolvedObject.Name == name {
				out = append(out, e.Reason)
			}
		}
	}
	return out
}

func (c *cluster) wantEvents(name string, want ...string) {
	c.t.Helper()
	if got := c.events(name); !slices.Equal(got, want) {
		c.t.Errorf("Events about %s: %v, want %v", name, got, want)
	}
}

func (c *cluster) holder() string {
	lease, err := c.CoordinationV1().Leases("system").Get(c.t.Context(), "lease", metav1.GetOptions{})
	if err != nil || lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// replica is a controller that runs.
type replica struct {
	*Controller
	stop context.CancelFunc
	done chan struct{}
	err  error // of Run; to be read after done
}

// start starts a controller and lets it do what there is to do.
func (c *cluster) start(identity string) *replica { return c.startWith(identity, c) }

func (c *cluster) startWith(identity string, client kubernetes.Interface) *replica {
	ctx, stop := context.WithCancel(context.Background())
	r := &replica{stop: stop, done: make(chan struct{}), Controller: New(Options{
		Client: client, Namespace: "system", ConfigMap: "config", LastGood: "last-good", Membership: "members", Lease: "lease", Identity: identity,
		Reports: c.dynamic, ClusterRole: "controller", Pods: c.pods,
	})}
	go func() {
		defer close(r.done)
		r.err = r.Run(ctx)
	}()
	c.t.Cleanup(func() { _ = r.end() })
	settle()
	return r
}

// end stops the controller in an orderly way.
func (r *replica) end() error {
	r.stop()
	<-r.done
	return r.err
}

// settle lets a second pass, which is enough for everything but a Lease to run out or to be taken over.
func settle() {
	time.Sleep(time.Second)
	synctest.Wait()
}

// takeOver lets as much time pass as another replica needs to lead where the Lease is free: with its jitter it tries
// again within 2.2 retryPeriod.
func takeOver() {
	time.Sleep(3 * retryPeriod)
	settle()
}

// leaseOf is the Lease as a replica that has just renewed it leaves it behind.
func leaseOf(identity string) *coordinationv1.Lease {
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: "lease"},
		Spec: resourcelock.LeaderElectionRecordToLeaseSpec(&resourcelock.LeaderElectionRecord{
			HolderIdentity: identity, LeaseDurationSeconds: int(leaseDuration.Seconds()), AcquireTime: metav1.Now(), RenewTime: metav1.Now(),
		}),
	}
}
