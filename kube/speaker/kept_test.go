package speaker

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/kontena/network-lb/announce"
)

var (
	nodes   = corev1.SchemeGroupVersion.WithResource("nodes")
	secrets = corev1.SchemeGroupVersion.WithResource("secrets")
)

func keyOf(secret runtime.Object) []byte { return secret.(*corev1.Secret).Data["key"] }

// keptOf returns what is kept of a cluster with n Services of two endpoints each.
func keptOf(n int) *kept {
	k := &kept{keptHead: keptHead{Format: keptFormat, Node: "a", UID: "uid-a", Boot: "boot", Services: n}}
	addr := netip.MustParseAddr("10.1.0.0")
	for i := range n {
		k.services = append(k.services, announce.Service{
			Name: fmt.Sprint("prod/service-", i), Addrs: []netip.Addr{addr}, Allocated: true,
			Labels:    map[string]string{"app.kubernetes.io/name": fmt.Sprint("service-", i), "app.kubernetes.io/managed-by": "Helm"},
			Endpoints: map[string]announce.Endpoints{"node-1": {V4: announce.Count{Ready: 1}}, "node-2": {V4: announce.Count{Ready: 1}}},
		})
		addr = addr.Next()
	}
	return k
}

// fill sets every field that a value has, and would have to be kept.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if a, ok := v.Addr().Interface().(*netip.Addr); ok {
			*a = netip.MustParseAddr("10.0.0.1")
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(7)
	}
}

// Whatever a decision needs to know of Nodes and Services is kept, but for what lasts for seconds only.
func TestKeptIsWhole(t *testing.T) {
	k := &kept{services: make([]announce.Service, 1)}
	fill(reflect.ValueOf(&k.keptHead).Elem())
	fill(reflect.ValueOf(&k.services[0]).Elem())
	k.Format, k.keptHead.Services = keptFormat, 1
	var text bytes.Buffer
	if err := k.encode(&text); err != nil {
		t.Fatal(err)
	}
	k.services[0].Rebalance = false
	var got kept
	if err := got.decode(&text); err != nil || !reflect.DeepEqual(&got, k) {
		t.Errorf("%+v\nis read as (%v)\n%+v", k, err, got)
	}
}

func TestKeptIsSmall(t *testing.T) {
	var text bytes.Buffer
	if err := keptOf(5000).encode(&text); err != nil || text.Len() > 200<<10 {
		t.Errorf("5,000 Services are %d bytes (%v)", text.Len(), err)
	}
}

func BenchmarkKeep(b *testing.B) {
	k := keptOf(5000)
	b.ReportAllocs()
	for b.Loop() {
		var text bytes.Buffer
		if err := k.encode(&text); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(text.Len()), "bytes")
	}
}

// Changes that come one after the other are written once a second; what is the same is not.
func TestKeeper(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		folder := t.TempDir()
		file := filepath.Join(folder, "cluster.json.gz")
		c.configure(both)
		c.populate("10.0.0.1")
		r := &recorder{}
		s := c.start(c, r, &r.claims, func(o *Options) { o.State, o.BootID = folder, "boot" })
		read := func() *kept {
			t.Helper()
			k, err := readKept(file)
			if err != nil {
				t.Fatal(err)
			}
			return k
		}
		first := read()
		if len(first.services) != 1 || first.UID != "uid-a" || first.Boot != "boot" || first.Generation != 7 || first.Document == "" ||
			!reflect.DeepEqual(first.Places, []string{"a"}) || len(first.Nodes) != 1 || !first.Nodes[0].Ready {
			t.Errorf("kept %+v", first)
		}
		after(time.Minute)
		for i := range 10 {
			more := service(fmt.Sprintf("10.0.0.%d", 100+i))
			more.Name = fmt.Sprint("web-", i)
			must(c, c.CoreV1().Services("prod").Create, more)
			after(50 * time.Millisecond)
		}
		if n := len(read().services); n >= 11 {
			t.Errorf("%d Services are kept at once", n)
		}
		after(2 * time.Second)
		before := read()
		if len(before.services) != 11 {
			t.Errorf("%d Services are kept a second later", len(before.services))
		}
		mode, err := os.Stat(file)
		if err != nil || mode.Mode().Perm() != 0o600 {
			t.Errorf("%v (%v)", mode, err)
		}
		s.poke()
		after(2 * time.Second)
		if !read().written.Equal(before.written) {
			t.Error("written although nothing has changed")
		}
		after(time.Hour)
		if age := time.Since(read().written); age > confirmEvery {
			t.Errorf("after a quiet hour it is %v old", age)
		}
		after(time.Minute)
		c.stops[s]()
		if age := time.Since(read().written); age > time.Second {
			t.Errorf("at the end it is %v old", age)
		}
		if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
			t.Errorf("left are %v (%v)", left, err)
		}
	})
}

// A Node that is not there is not kept, and what cannot be kept is said once.
func TestKeeperFails(t *testing.T) {
	inLives(t, func(t *testing.T, l *lives) {
		if err := os.Remove(l.file()); err != nil {
			t.Fatal(err)
		}
		s := l.begin(func(o *Options) { o.State = filepath.Join(l.state, "nowhere") })
		for i := range 3 {
			more := service("10.1.0.9")
			more.Name = fmt.Sprint("more-", i)
			must(l.cluster, l.cluster.CoreV1().Services("prod").Create, more)
			after(2 * time.Second)
		}
		if n := l.logs.FilterMessageSnippet("not kept for the next process").Len(); n != 1 {
			t.Errorf("said %d times: %v", n, l.logs.All())
		}
		l.stops[s]()
	})
}
