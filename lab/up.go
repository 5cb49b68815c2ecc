package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kontena/network-lb/lab/buildcache"
)

// Options of Up and Down.
type Options struct {
	// Log receives progress, a line each time. Nil: nothing is said.
	Log func(format string, args ...any)
	// Families are those that the cluster is to have. Down does not ask.
	Families Families
}

func (o Options) log() func(string, ...any) {
	if o.Log == nil {
		return func(string, ...any) {}
	}
	return o.Log
}

// Up brings the lab up and returns when every node is ready. A lab that is up already is returned as it is;
// one whose cluster has other families, and what a crashed run has left behind, is removed first. When it does not
// succeed, or the context ends, nothing stays but the logs, in the folder that the error names.
func Up(ctx context.Context, opts Options) (*Cluster, error) {
	log := opts.log()
	tools, err := findTools()
	if err != nil {
		return nil, err
	}
	unlock, err := buildcache.Lock(ctx, lockFile, func() { log("waiting for another lab command") })
	if err != nil {
		return nil, err
	}
	defer unlock()
	bins, err := buildBinaries(ctx, log)
	if err != nil {
		return nil, err
	}
	if c, err := Attach(); err == nil && c.binaries == bins && c.Check() == nil {
		if c.families == opts.Families {
			log("the lab is up already, families %s", c.families)
			return c, nil
		}
		log("the lab that is up has the families %s, not %s: it makes room for another", c.families, opts.Families)
	}
	if err := clean(StateDir, log); err != nil {
		return nil, err
	}
	c := newCluster(StateDir, summary{Binaries: bins, Families: opts.Families}, tools)
	if err := c.bringUp(ctx, log); err != nil {
		kept := filepath.Join(os.TempDir(), "kontena-network-lb-lab-logs")
		return nil, errors.Join(
			fmt.Errorf("bringing up the lab (logs are in %s): %w", kept, err),
			os.RemoveAll(kept), c.SaveLogs(kept), clean(StateDir, func(string, ...any) {}))
	}
	return c, nil
}

// bringUp starts everything, whatever does not need each other at the same time.
func (c *Cluster) bringUp(ctx context.Context, log buildcache.Log) error {
	began := time.Now()
	defer buildcache.Ticking(func() { log("... still coming up, %s", time.Since(began).Round(time.Second)) })()
	if err := mountState(c.state); err != nil {
		return err
	}
	if err := keepSysctls(c.state); err != nil {
		return err
	}
	log("making %d hosts, 2 switches and the cables between them, families %s", len(Hosts), c.families)
	if err := makeNetwork(c.families); err != nil {
		return err
	}
	log("starting etcd, the API server, containerd on %d nodes and %d routers", len(Nodes()), len(Routers()))
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() error { return c.startControlPlane(inner) })
	group.Go(func() error { return c.startRuntimes(inner) })
	for _, router := range Routers() {
		group.Go(func() error { return c.startRouter(inner, router) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	log("starting the controllers and %d kubelets", len(Nodes()))
	if err := c.startNodes(ctx); err != nil {
		return err
	}
	if err := writeSummary(c.state, summary{Binaries: c.binaries, Families: c.families}); err != nil {
		return err
	}
	log("the lab is up after %s", time.Since(began).Round(100*time.Millisecond))
	return nil
}

// startControlPlane starts what the nodes need to register.
func (c *Cluster) startControlPlane(ctx context.Context) error {
	if _, err := makePKI(string(c.pki)); err != nil {
		return err
	}
	if err := makeCredentials(c.state, c.pki, c.families); err != nil {
		return err
	}
	if err := c.startEtcd(ctx); err != nil {
		return err
	}
	return c.startAPIServer(ctx)
}

// startRuntimes starts containerd everywhere and gives it the images.
func (c *Cluster) startRuntimes(ctx context.Context) error {
	var tars []string
	group, inner := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		tars, err = c.packWorkloads(inner)
		return err
	})
	for _, node := range Nodes() {
		group.Go(func() error { return c.startContainerd(inner, node) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, tar := range tars {
		if err := c.ImportImage(ctx, tar); err != nil {
			return err
		}
	}
	return nil
}

// startNodes starts the controllers and kubelets and waits until every node is ready.
func (c *Cluster) startNodes(ctx context.Context) error {
	if err := c.startControllers(); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, node := range Nodes() {
		group.Go(func() error {
			if err := c.startAgents(ctx, node); err != nil {
				return err
			}
			return c.waitNode(ctx, node)
		})
	}
	group.Go(func() error { return c.waitServiceAccount(ctx) })
	return group.Wait()
}
