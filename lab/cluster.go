package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/kontena/network-lb/lab/namespace"
	"github.com/kontena/network-lb/lab/process"
)

// Cluster is a lab that is up.
type Cluster struct {
	state    string
	pki      pki
	binaries binaries
	families Families
	tools    map[string]string
}

// ErrDown says that no lab is up.
var ErrDown = errors.New("the lab is not up: run `lab up`")

// Attach returns the lab that is up on this machine, or ErrDown.
func Attach() (*Cluster, error) {
	tools, err := findTools()
	if err != nil {
		return nil, err
	}
	s, err := readSummary(StateDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, ErrDown
	}
	if err != nil {
		return nil, fmt.Errorf("reading the lab's state: %w", err)
	}
	return newCluster(StateDir, s, tools), nil
}

func newCluster(state string, s summary, tools map[string]string) *Cluster {
	return &Cluster{
		state: state, pki: pki(filepath.Join(state, "pki")), binaries: s.Binaries, families: s.Families, tools: tools,
	}
}

// Families returns those that the cluster has.
func (c *Cluster) Families() Families { return c.families }

func (c *Cluster) processes() process.Group { return processes(c.state) }

// RESTConfig is the operator's way to the API server, for client-go and Helm. Connections are made from inside
// the control plane's namespace, the only place where its address leads anywhere.
func (c *Cluster) RESTConfig() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("reading the lab's kubeconfig: %w", err)
	}
	config.Dial = c.host(Control).DialContext
	config.QPS, config.Burst = 200, 400
	return config, nil
}

// Kubeconfig is the operator's kubeconfig file. It works inside the lab's namespaces.
func (c *Cluster) Kubeconfig() string { return kubeconfigFile(c.state, admin) }

// Kubectl runs kubectl as the operator and returns its standard output.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	return c.Exec(ctx, Control, c.kubectl(args)...)
}

// KubectlCommand prepares the same, for callers that want its streams.
func (c *Cluster) KubectlCommand(ctx context.Context, args ...string) (*Cmd, error) {
	return c.Command(ctx, Control, c.kubectl(args)...)
}

func (c *Cluster) kubectl(args []string) []string {
	return append([]string{c.binaries.Kube, "kubectl", "--kubeconfig", c.Kubeconfig()}, args...)
}

// Exec runs a command on a host and returns its standard output. The error holds its standard error.
func (c *Cluster) Exec(ctx context.Context, host string, command ...string) (string, error) {
	cmd, err := c.Command(ctx, host, command...)
	if err != nil {
		return "", err
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		shown := strings.Join(command, " ")
		return out.String(), fmt.Errorf("running %s on %s: %w: %s", shown, host, err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// FRR runs a command of vtysh on one of the FRR routers: FRR(ctx, FRR1, "show bgp ipv4 unicast json").
func (c *Cluster) FRR(ctx context.Context, router, command string) (string, error) {
	return c.Exec(ctx, router, c.tools["vtysh"], "--vty_socket", routerDir(c.state, router), "-c", command)
}

// BIRD runs a command of birdc on the BIRD router: BIRD(ctx, "show route all").
func (c *Cluster) BIRD(ctx context.Context, command string) (string, error) {
	return c.Exec(ctx, BIRD1, c.tools["birdc"], "-s", filepath.Join(routerDir(c.state, BIRD1), "bird.ctl"), command)
}

// Namespaces returns where a host lives, for sockets and connections of one's own inside it.
func (c *Cluster) Namespaces(host string) (namespace.Host, error) {
	h, err := HostNamed(host)
	if err != nil {
		return namespace.Host{}, err
	}
	return h.namespaces(c.state), nil
}

// Command prepares a command on a host: Run, Start and Output of it work as of any exec.Cmd, inside the host's
// namespaces.
func (c *Cluster) Command(ctx context.Context, host string, command ...string) (*Cmd, error) {
	ns, err := c.Namespaces(host)
	if err != nil {
		return nil, err
	}
	if len(command) == 0 {
		return nil, errors.New("running nothing: name a command")
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	if cmd.Dir, err = os.Getwd(); err != nil { // entering a mount namespace would change it
		return nil, err
	}
	return &Cmd{Cmd: cmd, host: ns}, nil
}
