package document

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/kontena/network-lb/kube/api/clientset"
)

const good = "address_pools: [{name: main, protocol: layer2, addresses: [10.0.0.0/24]}]\n"

// follower follows system/config in a synctest bubble and notes what it is told.
type follower struct {
	t      *testing.T
	client *fake.Clientset
	place  Place
	told   []Version // since want was called last
}

func inBubble(t *testing.T, place Place, f func(*follower)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(&follower{t: t, client: fake.NewClientset(), place: place}) })
}

func (f *follower) start() {
	f.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	f.t.Cleanup(stop)
	if err := Follow(ctx, clientset.Client(f.client), f.place, func(v Version) { f.told = append(f.told, v) }); err != nil {
		f.t.Fatal(err)
	}
}

// put writes the object; nil data deletes it.
func (f *follower) put(data map[string]string) {
	f.t.Helper()
	ctx, meta := f.t.Context(), metav1.ObjectMeta{Namespace: "system", Name: "config", ResourceVersion: "9"}
	var err error
	if f.place.kind == "Secret" {
		o := &corev1.Secret{ObjectMeta: meta, Data: map[string][]byte{}}
		for key, text := range data {
			o.Data[key] = []byte(text)
		}
		all := f.client.CoreV1().Secrets("system")
		if data == nil {
			err = all.Delete(ctx, "config", metav1.DeleteOptions{})
		} else if _, err = all.Update(ctx, o, metav1.UpdateOptions{}); err != nil {
			_, err = all.Create(ctx, o, metav1.CreateOptions{})
		}
	} else {
		o := &corev1.ConfigMap{ObjectMeta: meta, Data: data}
		all := f.client.CoreV1().ConfigMaps("system")
		if data == nil {
			err = all.Delete(ctx, "config", metav1.DeleteOptions{})
		} else if _, err = all.Update(ctx, o, metav1.UpdateOptions{}); err != nil {
			_, err = all.Create(ctx, o, metav1.CreateOptions{})
		}
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// want checks that one version was told since the last time: valid, or with this in its error.
func (f *follower) want(when, problem string) Version {
	f.t.Helper()
	synctest.Wait()
	told := f.told
	f.told = nil
	if len(told) != 1 {
		f.t.Fatalf("%s: told %d versions, want 1", when, len(told))
	}
	switch v := told[0]; {
	case problem == "" && (v.Err != nil || len(v.Config.Pools) != 1):
		f.t.Errorf("%s: %+v", when, v)
	case problem != "" && (v.Err == nil || !strings.Contains(v.Err.Error(), problem) || v.Config.Pools != nil):
		f.t.Errorf("%s: %+v, want an error with %q", when, v, problem)
	}
	return told[0]
}

func document(text string) map[string]string { return map[string]string{Key: text} }

func TestFollow(t *testing.T) {
	for _, place := range []Place{InConfigMap("system", "config"), InSecret("system", "config")} {
		inBubble(t, place, func(f *follower) {
			f.start()
			time.Sleep(time.Second) // that client-go takes to find out that it has read everything
			f.want("none at the start", "there is no "+place.kind+" system/config; the chart makes it")
			f.put(document(good))
			if v := f.want("good", ""); v.Text != good || v.Object.Kind != place.kind || v.Object.Name != "config" || v.Object.ResourceVersion != "9" {
				f.t.Errorf("told %+v", v)
			}
			f.put(document("address_pools: nonsense"))
			f.want("not valid", "address_pools (line 1)")
			f.put(document("enabled: false\n" + good))
			f.want("disabled", "enabled: false is carried out by the chart")
			f.put(document(""))
			f.want("empty", "is empty")
			f.put(map[string]string{"config.yml": good})
			f.want("under a wrong key", map[string]string{
				"ConfigMap": `the ConfigMap system/config has no key "config.yaml"`,
				"Secret":    "the Secret system/config holds no accepted configuration yet",
			}[place.kind])
			f.put(nil)
			if v := f.want("deleted", "there is no"); v.Object.Name != "" {
				f.t.Errorf("told %+v", v)
			}
		})
	}
}

// One that is there at the start is told once, and is not taken for missing.
func TestThereAtTheStart(t *testing.T) {
	inBubble(t, InConfigMap("system", "config"), func(f *follower) {
		f.put(document(good))
		f.start()
		time.Sleep(time.Second)
		f.want("at the start", "")
	})
}

// Nothing else is asked for than the object: a process may read no other kind.
func TestFollowAsksForOneKind(t *testing.T) {
	for place, resource := range map[Place]string{InConfigMap("system", "config"): "configmaps", InSecret("system", "config"): "secrets"} {
		inBubble(t, place, func(f *follower) {
			f.start()
			time.Sleep(time.Second)
			f.want("none", "there is no")
			for _, a := range f.client.Actions() {
				if a.GetResource().Resource != resource {
					f.t.Errorf("%s: %s %s", place, a.GetVerb(), a.GetResource().Resource)
				}
			}
		})
	}
}

func TestGeneration(t *testing.T) {
	inBubble(t, InSecret("system", "config"), func(f *follower) {
		for text, want := range map[string]int64{"12": 12, "nonsense": 0, "": 0} {
			f.put(map[string]string{Key: good, GenerationKey: text})
			v, err := Read(f.t.Context(), clientset.Client(f.client), f.place)
			if err != nil || v.Err != nil || v.Generation != want {
				f.t.Errorf("%q: generation %d (%v, %v), want %d", text, v.Generation, v.Err, err, want)
			}
		}
		f.put(nil)
		if v, err := Read(f.t.Context(), clientset.Client(f.client), f.place); err != nil || v.Err == nil {
			f.t.Errorf("without a Secret: %+v, %v", v, err)
		}
	})
}

func TestRead(t *testing.T) {
	for _, place := range []Place{InConfigMap("system", "config"), InSecret("system", "config")} {
		inBubble(t, place, func(f *follower) {
			if v, err := Read(f.t.Context(), clientset.Client(f.client), place); err != nil || v.Err == nil || !strings.Contains(v.Err.Error(), "there is no "+place.kind) {
				f.t.Errorf("%s: %+v, %v; want that there is none", place, v, err)
			}
			f.put(document(good))
			if v, err := Read(f.t.Context(), clientset.Client(f.client), place); err != nil || v.Text != good || v.Object.Kind != place.kind {
				f.t.Errorf("%s: %+v, %v", place, v, err)
			}
		})
	}
}

func TestFile(t *testing.T) {
	write := func(text string) string {
		name := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	if v, err := ReadFile(write(good)); err != nil || len(v.Config.Pools) != 1 {
		t.Errorf("a good file: %+v, %v", v, err)
	}
	for text, want := range map[string]string{"address_pools: 1": "not a valid configuration", "enabled: false": "enabled: false"} {
		if _, err := ReadFile(write(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", text, err, want)
		}
	}
	if _, err := ReadFile("/does/not/exist"); err == nil || !strings.Contains(err.Error(), "/does/not/exist") {
		t.Errorf("a missing file: %v", err)
	}
}

func TestLastGood(t *testing.T) {
	var l LastGood
	want := func(when, ready, problem string, generation int64) {
		t.Helper()
		for _, tt := range []struct {
			err  error
			want string
		}{{l.Ready(), ready}, {l.Problem(), problem}} {
			if tt.want == "" && tt.err != nil || tt.want != "" && (tt.err == nil || !strings.Contains(tt.err.Error(), tt.want)) {
				t.Errorf("%s: %v, want %q", when, tt.err, tt.want)
			}
		}
		if v := l.Version(); v == nil && generation != 0 || v != nil && v.Generation != generation {
			t.Errorf("%s: the last good one is %+v", when, v)
		}
	}
	take := func(text string, generation int64, changed bool) {
		t.Helper()
		v := Parse(text)
		v.Generation = generation
		if got := l.Take(v); got != changed {
			t.Errorf("Take(%q) = %v", text, got)
		}
	}
	want("at first", "has not been read yet", "", 0)
	take("nonsense", 1, false)
	want("not valid", "no valid configuration yet: the document", "the document", 0)
	take(good, 2, true)
	want("good", "", "", 2)
	take(good, 3, false)
	want("the same text", "", "", 3)
	take("nonsense", 4, false)
	want("not valid", "", "the document", 3)
}
