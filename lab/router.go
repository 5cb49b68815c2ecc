package lab

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"github.com/kontena/network-lb/lab/process"
)

//go:embed router/zebra.conf
var zebraConfig string

//go:embed router/bgpd.conf
var bgpdConfig string

//go:embed router/bfdd.conf
var bfddConfig string

//go:embed router/bird.conf
var birdConfig string

// routerDir is where a router has its configuration and sockets.
func routerDir(state, router string) string { return filepath.Join(state, "routers", router) }

// startRouter starts a router with its BGP daemon, which waits for the nodes to call.
func (c *Cluster) startRouter(ctx context.Context, router Host) error {
	dir := routerDir(c.state, router.Name)
	data := map[string]any{
		"Name": router.Name, "ASN": router.ASN, "NodeASN": NodeASN,
		"LAN": router.LANAddrs(Dual), "LANv4": LANv4, "LANv6": LANv6,
		"Log": filepath.Join(dir, "daemon.log"),
	}
	files := map[string]string{"zebra.conf": zebraConfig, "bgpd.conf": bgpdConfig, "bfdd.conf": bfddConfig}
	start := c.startFRR
	if router.Name == BIRD1 {
		files, start = map[string]string{"bird.conf": birdConfig}, c.startBIRD
	}
	for name, content := range files {
		if err := writeTemplate(filepath.Join(dir, name), content, data); err != nil {
			return fmt.Errorf("configuring %s: %w", router.Name, err)
		}
	}
	return start(ctx, router.Name, dir)
}

// startFRR starts zebra, which writes the kernel's routes, bfdd, which watches neighbours, and bgpd. They run as Debian's
// user frr.
func (c *Cluster) startFRR(ctx context.Context, router, dir string) error {
	if err := chown(dir, "frr"); err != nil {
		return err
	}
	for _, daemon := range []string{"zebra", "bfdd", "bgpd"} {
		args := []string{
			"--config_file", filepath.Join(dir, daemon+".conf"),
			"--pid_file", filepath.Join(dir, daemon+".pid"),
			"--socket", filepath.Join(dir, "zserv.api"),
			"--vty_socket", dir,
			"--vty_port", "0",
		}
		if daemon == "bfdd" {
			args = append(args, "--bfdctl", filepath.Join(dir, "bfdd.sock"))
		}
		err := c.processes().Start(process.Command{
			Name: router + "-" + daemon, Path: c.tools[daemon], Args: args, In: c.host(router),
		})
		if err != nil {
			return err
		}
		err = c.until(ctx, router+"-"+daemon, 30*time.Second, func(context.Context) error {
			_, err := os.Stat(filepath.Join(dir, daemon+".vty"))
			return err
		})
		if err != nil {
			return err
		}
	}
	return c.until(ctx, router+"-bgpd", 30*time.Second, func(ctx context.Context) error {
		_, err := c.FRR(ctx, router, "show bgp summary json")
		return err
	})
}

func (c *Cluster) startBIRD(ctx context.Context, router, dir string) error {
	err := c.processes().Start(process.Command{
		Name: router + "-bird", Path: c.tools["bird"], In: c.host(router),
		Args: []string{"-f", "-c", filepath.Join(dir, "bird.conf"), "-s", filepath.Join(dir, "bird.ctl")},
	})
	if err != nil {
		return err
	}
	return c.until(ctx, router+"-bird", 30*time.Second, func(ctx context.Context) error {
		_, err := c.BIRD(ctx, "show status")
		return err
	})
}

// chown gives a folder and what is in it to a user of the machine.
func chown(dir, name string) error {
	owner, err := user.Lookup(name)
	if err != nil {
		return fmt.Errorf("finding the user of FRR (apt-get install frr makes it): %w", err)
	}
	uid, err := strconv.Atoi(owner.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(owner.Gid)
	if err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, uid, gid)
	})
}
