// Package e2e tells the product's stories on a real cluster: each file in testdata is one, with the commands
// a person would type.
package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/kontena/network-lb/lab"
	"github.com/kontena/network-lb/lab/addon"
	"github.com/kontena/network-lb/lab/image"
)

var (
	update = flag.Bool("update", false, "write what the commands print into the stories")
	keep   = flag.Bool("keep", false, "use the lab that is up, and leave it up")
)

// root is the module's folder.
const root = "../.."

// able skips what this run or this machine does not do.
func able(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("brings up a Kubernetes cluster; not with -short")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, to bring up a Kubernetes cluster in network namespaces")
	}
}

// cluster returns a lab of these families with the product's image on its nodes. One is brought up for as long as
// nobody asks for other families, and all its programs run.
func cluster(t testing.TB, families lab.Families) *lab.Cluster {
	t.Helper()
	able(t)
	if theCluster == nil || theCluster.Families() != families || theCluster.Check() != nil {
		c, err := bringUp(context.Background(), families)
		if err != nil {
			t.Fatal(err)
		}
		theCluster = c
	}
	return theCluster
}

var (
	theCluster *lab.Cluster
	theImage   string // tarball of the product's image: built once, for all clusters
)

func bringUp(ctx context.Context, families lab.Families) (*lab.Cluster, error) {
	if !*keep { // start from nothing
		if err := lab.Down(ctx, progress); err != nil {
			return nil, err
		}
	}
	opts := progress
	opts.Families = families
	c, err := lab.Up(ctx, opts)
	if err != nil {
		return nil, err
	}
	if theImage == "" {
		tar := filepath.Join(files, "network-lb.tar")
		if _, err := image.Product(ctx, root, "", tar); err != nil {
			return nil, err
		}
		theImage = tar
	}
	return c, c.ImportImage(ctx, theImage)
}

// progress shows what takes long.
var progress = lab.Options{Log: func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }}

// files is a folder that goes when all tests have run.
var files string

func TestMain(m *testing.M) {
	if addr := os.Getenv(loadAddress); addr != "" {
		if err := runLoad(addr, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	var err error
	if files, err = os.MkdirTemp("", "network-lb-e2e-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(files)
	for _, end := range badEnds { // once more: a log of all stories is long
		fmt.Fprintln(os.Stderr, end)
	}
	if theCluster != nil && !*keep {
		if code != 0 {
			saveLogs()
		}
		if err := lab.Down(context.Background(), progress); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// saveLogs keeps what explains a failure.
func saveLogs() {
	dir := filepath.Join(root, "build", "lab-logs", theCluster.Families().String())
	if err := theCluster.SaveLogs(dir); err != nil {
		fmt.Fprintln(os.Stderr, "saving the logs:", err)
	}
	fmt.Fprintln(os.Stderr, "the lab's logs are in", dir)
}

func TestE2E(t *testing.T) {
	able(t)
	told, err := stories("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, families := range []lab.Families{lab.Dual, lab.IPv4, lab.IPv6} {
		files := told[families]
		testscript.RunT(inTurn{t, families, files[len(files)-1]}, testscript.Params{
			Files:         files,
			UpdateScripts: *update,
			Setup: func(e *testscript.Env) error {
				folder, err := filepath.Abs(root)
				e.Setenv("ROOT", folder)
				return err
			},
			Cmds: scriptCommands(),
		})
	}
}

// inTurn runs the stories one after the other: they share the cluster.
type inTurn struct {
	*testing.T
	families lab.Families
	last     string // file of the last one
}

// Run implements testscript.T. A story in which one of the lab's own programs ends by itself, such as a router that
// crashes, is told once more in another lab: that says nothing of the product, unless it happens again.
func (t inTurn) Run(name string, f func(testscript.T)) {
	t.T.Run(name, func(story *testing.T) {
		first := &attempt{inTurn: inTurn{T: story}}
		c := t.cluster(story)
		first.run(f)
		if err := c.Check(); err != nil {
			story.Logf("told again in another lab, as this one is broken: %v", err)
			saveLogs() // they go with this cluster
			c = t.cluster(story)
			first = &attempt{inTurn: inTurn{T: story}}
			first.run(f)
			if err := c.Check(); err != nil {
				story.Error(err)
			}
		}
		if first.failed || story.Failed() {
			story.Fail()
			badEnds = append(badEnds, fmt.Sprintf("how story %s ended:\n%s", name, first.end()))
			explain(story, c)
		}
		if *keep || t.families == lab.Dual || name+".txtar" != filepath.Base(t.last) {
			tidy(story, c) // else the cluster goes
		}
	})
}

// cluster returns the one that the stories share.
func (t inTurn) cluster(story *testing.T) *lab.Cluster {
	if theCluster != nil && theCluster.Families() != t.families && t.Failed() {
		saveLogs() // they go with this cluster
	}
	return cluster(story, t.families)
}

// badEnds are the last lines of the stories that failed.
var badEnds []string

// attempt is a telling of a story that may fail.
type attempt struct {
	inTurn
	failed bool
	log    string
}

// Log implements testscript.T.
func (a *attempt) Log(args ...any) {
	a.log = fmt.Sprint(args...)
	a.inTurn.Log(args...)
}

// end returns the last lines of the log.
func (a *attempt) end() string {
	lines := strings.Split(strings.TrimSpace(a.log), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

// run tells it.
func (a *attempt) run(f func(testscript.T)) {
	done := make(chan struct{})
	go func() { // FailNow ends it
		defer close(done)
		f(a)
	}()
	<-done
}

// FailNow implements testscript.T.
func (a *attempt) FailNow() {
	a.failed = true
	runtime.Goexit()
}

// Fatal implements testscript.T.
func (a *attempt) Fatal(args ...any) {
	a.Log(args...)
	a.FailNow()
}

// Parallel implements testscript.T: it is not.
func (inTurn) Parallel() {}

// Verbose implements testscript.T.
func (inTurn) Verbose() bool { return testing.Verbose() }

// tidy takes away what a story leaves, so that the next one finds the cluster as it was.
func tidy(t testing.TB, c *lab.Cluster) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	_, err := c.Kubectl(ctx, "delete", "service,deployment", "--selector", "!component", "--wait=true") // not Service kubernetes
	errs := []error{err, addon.Uninstall(c), c.ForgetConnections()}
	_, err = c.Kubectl(ctx, "annotate", "nodes", "--all", "network-lb.kontena.io/drain-")
	errs = append(errs, err)
	for _, namespace := range []string{"default", addon.Namespace} { // last, since an end has Events too
		_, err := c.Kubectl(ctx, "delete", "--raw", "/api/v1/namespaces/"+namespace+"/events")
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		t.Errorf("tidying up: %v", err)
	}
}

// explain shows what a person would look at first.
func explain(t testing.TB, c *lab.Cluster) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, args := range [][]string{
		{"get", "services,pods", "--all-namespaces", "-o", "wide"},
		{"get", "events", "--all-namespaces", "--sort-by", ".lastTimestamp"},
		{"logs", "--namespace", addon.Namespace, "--selector", "app.kubernetes.io/instance=" + addon.Release, "--tail", "40", "--prefix"},
	} {
		out, err := c.Kubectl(ctx, args...)
		t.Logf("kubectl %v\n%s(%v)", args, out, err)
	}
}
