package chaos

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/kontena/network-lb/lab"
)

var (
	keep = flag.Bool("keep", false, "use the lab that is up, and leave it up")
	seed = flag.Uint64("seed", 1, "of the first round; the others count on from there")
)

// What is in every document: the class keeps other controllers away, in the lab and of the test before. The pools have
// names of their world, too, because each has an AddressPool.
const header = "load_balancer_class: lab.test/$WORLD\naddress_pools:\n"

const (
	size  = 70 // IPv4 addresses of the pool: of the Services that a walk keeps alive, dozens wait
	pools = "- {name: $WORLD-main, protocol: layer2, addresses: [10.77.0.0-10.77.0.69, 'fd77::/64'], cooldown: 0}\n"
)

// world is the lab with a controller's objects in it, and no controller yet.
type world struct {
	t       testing.TB
	lab     *lab.Cluster
	client  kubernetes.Interface
	dynamic dynamic.Interface
	program string
	log     string

	name         string // of this world, unlike all before it
	system, load string // namespaces of the controllers' own objects, and of the Services
}

var theLab *lab.Cluster

var quiet = lab.Options{Log: func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }}

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if theLab != nil && !*keep {
		if err := lab.Down(context.Background(), quiet); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// newWorld brings the lab up if it is not, and makes what the chart would make for a controller.
func newWorld(t testing.TB, pools string) *world {
	t.Helper()
	if testing.Short() || os.Geteuid() != 0 {
		t.Skip("needs root and a Kubernetes cluster in network namespaces; not with -short")
	}
	ctx := t.Context()
	if theLab == nil {
		if !*keep {
			if err := lab.Down(ctx, quiet); err != nil {
				t.Fatal(err)
			}
		}
		c, err := lab.Up(ctx, quiet)
		if err != nil {
			t.Fatal(err)
		}
		theLab = c
	}
	config, err := theLab.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	anyKind, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, lab: theLab, client: client, dynamic: anyKind, program: filepath.Join(t.TempDir(), "controller"), log: filepath.Join(t.TempDir(), "controller.log")}
	build := exec.CommandContext(ctx, "go", "build", "-o", w.program, "./cmd/controller")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	w.defineReports()
	w.furnish(pools)
	t.Cleanup(w.clear)
	return w
}

// furnish makes new namespaces, an owner of the reports, the document and the place for its copy, and gives up those
// there were.
func (w *world) furnish(pools string) {
	w.t.Helper()
	w.clear()
	ctx := w.t.Context()
	w.name = fmt.Sprintf("chaos-%x", rand.Uint32())
	w.system, w.load = w.name, w.name+"-load"
	w.own()
	for _, name := range []string{w.system, w.load} {
		if _, err := w.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			w.t.Fatal(err)
		}
	}
	document := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "network-lb-config"}, Data: map[string]string{"config.yaml": w.document(pools)}}
	if _, err := w.client.CoreV1().ConfigMaps(w.system).Create(ctx, document, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
	kept := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "network-lb-last-good"}}
	if _, err := w.client.CoreV1().Secrets(w.system).Create(ctx, kept, metav1.CreateOptions{}); err != nil {
		w.t.Fatal(err)
	}
}

// document is the configuration with these pools.
func (w *world) document(pools string) string {
	return strings.ReplaceAll(header+pools, "$WORLD", w.name)
}

// class is that of the Services.
func (w *world) class() *string { return new("lab.test/" + w.name) }

// clear has the namespaces and the reports deleted. Nobody waits: the next ones have other names, and another class.
func (w *world) clear() {
	if w.name != "" {
		w.disown()
	}
	for _, name := range []string{w.load, w.system} {
		if name == "" {
			continue
		}
		if err := w.client.CoreV1().Namespaces().Delete(context.Background(), name, metav1.DeleteOptions{}); err != nil {
			w.t.Errorf("deleting namespace %s: %v", name, err)
		}
	}
	if w.t.Failed() {
		if log, err := os.ReadFile(w.log); err == nil {
			w.t.Logf("the end of the controllers' log:\n%s", log[max(0, len(log)-8000):])
		}
	}
}

// pause is the time between two looks at something that is about to change.
func pause() { time.Sleep(20 * time.Millisecond) }

// start runs a controller under a name in the Lease.
func (w *world) start(identity string) *lab.Cmd {
	w.t.Helper()
	log, err := os.OpenFile(w.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	defer log.Close()
	cmd, err := w.lab.Command(context.Background(), lab.Control, w.program, "--kubeconfig="+w.lab.Kubeconfig(), "--namespace="+w.system, "--cluster-role="+w.name,
		"--identity="+identity, "--listen=", "--status-listen=")
	if err != nil {
		w.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	return cmd
}

// leader returns who has the Lease.
func (w *world) leader() string {
	lease, err := w.client.CoordinationV1().Leases(w.system).Get(w.t.Context(), "network-lb-controller", metav1.GetOptions{})
	if err != nil || lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *lease.Spec.HolderIdentity
}

// until waits until something holds; a broken test gives up after two minutes.
func (w *world) until(what string, holds func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !holds(); pause() {
		if time.Now().After(deadline) {
			w.t.Fatalf("not within two minutes: %s", what)
		}
	}
}
