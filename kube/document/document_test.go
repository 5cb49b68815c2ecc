package document

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/kontena/network-lb/config"
)

const good = "address_pools: [{name: main, protocol: layer2, addresses: [10.0.0.0/24]}]\n"

// follower follows the ConfigMap system/config in a synctest bubble and notes what it is told.
type follower struct {
	t      *testing.T
	client *fake.Clientset
	*Source
	told []string // "applied N pools", "refused" and "missing", since want was called last
}

func follow(t *testing.T, f func(*testing.T, *follower)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(t, &follower{t: t, client: fake.NewClientset()})
	})
}

func (f *follower) start() {
	f.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	f.t.Cleanup(stop)
	source, err := Follow(ctx, f.client, Options{
		Namespace: "system", ConfigMap: "config",
		Apply: func(c config.Config) { f.told = append(f.told, fmt.Sprintf("applied %d pools", len(c.Pools))) },
		Refused: func(cm *corev1.ConfigMap, err error) {
			switch {
			case err == nil:
				f.t.Error("refused without an error")
			case cm == nil:
				f.told = append(f.told, "missing")
			default:
				f.told = append(f.told, "refused")
			}
		},
	})
	if err != nil {
		f.t.Fatal(err)
	}
	f.Source = source
}

// put writes the ConfigMap; a nil data deletes it.
func (f *follower) put(data map[string]string) {
	f.t.Helper()
	maps, ctx := f.client.CoreV1().ConfigMaps("system"), f.t.Context()
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: "config"}, Data: data}
	if data == nil {
		if err := maps.Delete(ctx, "config", metav1.DeleteOptions{}); err != nil {
			f.t.Fatal(err)
		}
	} else if _, err := maps.Update(ctx, cm, metav1.UpdateOptions{}); err != nil {
		if _, err := maps.Create(ctx, cm, metav1.CreateOptions{}); err != nil {
			f.t.Fatal(err)
		}
	}
}

func document(text string) map[string]string { return map[string]string{Key: text} }

// want checks what was told since the last time, whether the document is stale, and what Ready says.
func (f *follower) want(when string, told []string, stale bool, ready string) {
	f.t.Helper()
	synctest.Wait()
	if !slices.Equal(f.told, told) {
		f.t.Errorf("%s: told %q, want %q", when, f.told, told)
	}
	f.told = nil
	if f.Stale() != stale {
		f.t.Errorf("%s: Stale = %v, want %v", when, f.Stale(), stale)
	}
	if err := f.Ready(); ready == "" && err != nil || ready != "" && (err == nil || !strings.Contains(err.Error(), ready)) {
		f.t.Errorf("%s: Ready = %v, want %q", when, err, ready)
	}
}

// pass lets the time pass that client-go takes to find out that it has read everything.
func pass() { time.Sleep(time.Second) }

func TestTransitions(t *testing.T) {
	follow(t, func(t *testing.T, f *follower) {
		bad := document("address_pools: nonsense")
		f.put(document(good))
		f.start()
		f.want("good at the start", []string{"applied 1 pools"}, false, "")
		f.put(document(good))
		f.want("the same again", nil, false, "")
		f.put(bad)
		f.want("not valid", []string{"refused"}, true, "")
		f.put(bad)
		f.want("not valid, the same again", nil, true, "")
		f.put(document("address_pools: other nonsense"))
		f.want("not valid, in another way", []string{"refused"}, true, "")
		f.put(document(good))
		f.want("as before", []string{"applied 1 pools"}, false, "")
		f.put(map[string]string{"config.yml": good})
		f.want("under a wrong key", []string{"refused"}, true, "")
		f.put(document(""))
		f.want("empty", []string{"refused"}, true, "")
		f.put(document("enabled: false\n" + good))
		f.want("disabled", []string{"refused"}, true, "")
		f.put(document(good))
		f.want("good again", []string{"applied 1 pools"}, false, "")
		f.put(nil)
		f.want("deleted", []string{"missing"}, true, "")
		f.put(document(good))
		f.want("made again, as it was", []string{"applied 1 pools"}, false, "")
	})
}

func TestStartsWithoutAConfigMap(t *testing.T) {
	follow(t, func(t *testing.T, f *follower) {
		f.start()
		f.want("at first", nil, false, "the configuration has not been read yet")
		pass()
		f.want("none", []string{"missing"}, true, "there is no ConfigMap system/config; the chart makes it")
		f.put(map[string]string{"other": ""})
		f.want("without the key", []string{"refused"}, true, `the ConfigMap system/config has no key "config.yaml"`)
		f.put(document("pools: []"))
		f.want("not valid", []string{"refused"}, true, "pools (line 1)")
		f.put(document(good))
		f.want("good", []string{"applied 1 pools"}, false, "")
	})
}

// A ConfigMap that comes while it is being found missing is not taken for missing.
func TestComesWhileItIsFoundMissing(t *testing.T) {
	follow(t, func(t *testing.T, f *follower) {
		f.start()
		f.put(document(good))
		pass()
		f.missing(fmt.Errorf("late"))
		f.want("it came", []string{"applied 1 pools"}, false, "")
	})
}

func TestFile(t *testing.T) {
	write := func(text string) string {
		name := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	applied := 0
	apply := func(config.Config) { applied++ }
	s, err := Follow(t.Context(), nil, Options{File: write(good), Apply: apply})
	if err != nil || applied != 1 || s.Ready() != nil || s.Stale() {
		t.Errorf("a good file: %v, applied %d times", err, applied)
	}
	for text, want := range map[string]string{"address_pools: 1": "not a valid configuration", "enabled: false": "enabled: false"} {
		if _, err := Follow(t.Context(), nil, Options{File: write(text), Apply: apply}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want an error with %q", text, err, want)
		}
	}
	if _, err := Follow(t.Context(), nil, Options{File: "/does/not/exist"}); err == nil || !strings.Contains(err.Error(), "/does/not/exist") {
		t.Errorf("a missing file: %v", err)
	}
	if applied != 1 {
		t.Errorf("applied %d times", applied)
	}
}
