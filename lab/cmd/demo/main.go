// Command demo tells in a terminal what the product does: it brings the lab up, installs the chart, creates
// two Services, and shows how the network reaches them.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/kontena/network-lb/lab"
	"github.com/kontena/network-lb/lab/addon"
)

//go:embed values.yaml
var values string

//go:embed web.yaml
var web string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := (&demo{began: time.Now()}).run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

type demo struct {
	began   time.Time
	cluster *lab.Cluster
	files   string
}

func (d *demo) run(ctx context.Context) (err error) {
	root, err := filepath.Abs("..") // make starts it in lab
	if err != nil {
		return err
	}
	if d.files, err = os.MkdirTemp("", "network-lb-demo-"); err != nil {
		return err
	}
	defer os.RemoveAll(d.files)
	for _, chapter := range []func(context.Context, string) error{d.bringUp, d.install, d.services, d.routed, d.lan} {
		if err := chapter(ctx, root); err != nil {
			return err
		}
	}
	fmt.Print(farewell)
	return nil
}

// title begins a chapter.
func (d *demo) title(title string) {
	fmt.Printf("\n\033[1m── %s\033[0m  (%s)\n\n", title, time.Since(d.began).Round(time.Second))
}

// say is one line of progress.
func say(format string, args ...any) { fmt.Printf("   "+format+"\n", args...) }

// show prints what a person would type, and what comes of it.
func show(typed string, out string, err error) error {
	fmt.Printf("   \033[36m%s\033[0m\n", typed)
	for line := range strings.Lines(out) {
		fmt.Print("   " + line)
	}
	fmt.Println()
	return err
}

func (d *demo) bringUp(ctx context.Context, _ string) (err error) {
	d.title("A Kubernetes cluster with three nodes, three routers and two clients, each a network namespace")
	fmt.Println(lab.Topology(lab.Dual))
	d.cluster, err = lab.Up(ctx, lab.Options{Log: say})
	return err
}

func (d *demo) install(ctx context.Context, root string) error {
	d.title("Installing the chart")
	say("building the image and giving it to the nodes")
	if err := addon.Import(ctx, d.cluster, root); err != nil {
		return err
	}
	file, err := d.file("values.yaml", values)
	if err != nil {
		return err
	}
	_ = show("cat values.yaml", values, nil)
	_, err = addon.Install(ctx, d.cluster, addon.Source{Chart: addon.Chart(root), Values: file})
	if err := show("helm install network-lb charts/kontena-network-lb -n "+addon.Namespace+" -f values.yaml --wait", "installed\n", err); err != nil {
		return err
	}
	return d.kubectl(ctx, "get", "pods", "-n", addon.Namespace, "-o", "wide")
}

func (d *demo) services(ctx context.Context, _ string) error {
	d.title("A Deployment and two Services of type LoadBalancer")
	file, err := d.file("web.yaml", web)
	if err != nil {
		return err
	}
	for _, args := range [][]string{
		{"apply", "-f", file},
		{"rollout", "status", "deployment/web", "--timeout=60s"},
		{"wait", "service", "--all", "--for=condition=network-lb.kontena.io/Allocated", "--timeout=60s", "--field-selector=metadata.name!=kubernetes"},
		{"get", "svc", "-o", "wide"},
	} {
		if err := d.kubectl(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) routed(ctx context.Context, _ string) error {
	d.title("The address of Service web, by BGP")
	address, err := d.address(ctx, "web")
	if err != nil {
		return err
	}
	if err := d.wait(ctx, "the router to have the route", func(ctx context.Context) (string, error) {
		return d.cluster.FRR(ctx, lab.FRR1, "show ip route "+address+"/32")
	}, "via"); err != nil {
		return err
	}
	out, err := d.cluster.FRR(ctx, lab.FRR1, "show bgp ipv4 unicast")
	if err := show("build/lab vtysh frr-1 show bgp ipv4 unicast", out, err); err != nil {
		return err
	}
	out, err = d.cluster.FRR(ctx, lab.FRR1, "show ip route "+address+"/32")
	if err := show("build/lab vtysh frr-1 show ip route "+address+"/32", out, err); err != nil {
		return err
	}
	return d.curl(ctx, lab.Far, address)
}

func (d *demo) lan(ctx context.Context, _ string) error {
	d.title("The address of Service web-lan, by ARP")
	address, err := d.address(ctx, "web-lan")
	if err != nil {
		return err
	}
	if err := d.curl(ctx, lab.Client, address); err != nil {
		return err
	}
	out, err := d.cluster.Exec(ctx, lab.Client, "ip", "neighbour", "show", address)
	return show("build/lab exec client ip neighbour show "+address, out, err)
}

// curl asks a few times, to show that different pods answer.
func (d *demo) curl(ctx context.Context, host, address string) error {
	url := "http://" + address + "/"
	typed := []string{"curl", "-sS", "--max-time", "2", url}
	if err := d.wait(ctx, "a client's answer", func(ctx context.Context) (string, error) {
		return d.cluster.Exec(ctx, host, typed...)
	}, "pod="); err != nil {
		return err
	}
	var all strings.Builder
	for range 4 {
		out, err := d.cluster.Exec(ctx, host, typed...)
		if err != nil {
			return err
		}
		all.WriteString(out)
	}
	return show("build/lab exec "+host+" curl "+url+"   (four times)", all.String(), nil)
}

func (d *demo) kubectl(ctx context.Context, args ...string) error {
	out, err := d.cluster.Kubectl(ctx, args...)
	return show(strings.ReplaceAll("build/lab kubectl "+strings.Join(args, " "), d.files+"/", ""), out, err)
}

func (d *demo) address(ctx context.Context, service string) (string, error) {
	return d.cluster.Kubectl(ctx, "get", "svc", service, "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
}

func (d *demo) wait(ctx context.Context, what string, ask func(context.Context) (string, error), want string) error {
	var last string
	err := lab.Eventually(ctx, time.Minute, func(ctx context.Context) (bool, error) {
		out, err := ask(ctx)
		last = fmt.Sprintf("%s(%v)", out, err)
		return strings.Contains(out, want), nil
	})
	if err != nil {
		return fmt.Errorf("waiting for %s: %w; the last answer was %s", what, err, last)
	}
	return nil
}

func (d *demo) file(name, content string) (string, error) {
	path := filepath.Join(d.files, name)
	return path, os.WriteFile(path, []byte(content), 0o644)
}

const farewell = "\n\033[1m── The lab stays up\033[0m\n" + `
   build/lab kubectl get svc -A -w                 kubectl, as the cluster's operator
   build/lab vtysh frr-1 show bgp summary          an FRR router; frr-2 is another
   build/lab birdc show route                      the BIRD router
   build/lab exec far curl -s http://10.89.0.0/    the client behind the routers; client is on the LAN
   build/lab exec node-1 curl -s 127.0.0.1:17473/status    what a speaker decided, and why

   make demo-down                                  stop and remove everything
`
