package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
)

// stopTime is how long an agent of a node may take to end.
const stopTime = 20 * time.Second

// StartKubelet starts the kubelet of a node.
func (c *Cluster) StartKubelet(node string) error {
	host, err := HostNamed(node)
	if err != nil {
		return err
	}
	addrs := addrs(lanNumber, host.Number)
	return c.startKube(node, node+"-kubelet", "kubelet", flags{
		"config":            kubeletConfigFile,
		"kubeconfig":        kubeconfigFile(c.state, "system:node:"+node),
		"hostname-override": node,
		"node-ip":           c.families.list(addrs[0].String(), addrs[1].String()),
		"cert-dir":          "/var/lib/kubelet/pki",
	})
}

// StartKubeProxy starts the kube-proxy of a node.
func (c *Cluster) StartKubeProxy(node string) error {
	return c.startKube(node, node+"-kube-proxy", "kube-proxy", flags{
		"kubeconfig":             kubeconfigFile(c.state, kubeProxy),
		"hostname-override":      node,
		"bind-address":           c.families.listen(),
		"proxy-mode":             "nftables",
		"cluster-cidr":           c.families.list(PodsV4, PodsV6),
		"conntrack-max-per-core": "0", // may be set only outside of namespaces
		"conntrack-min":          "0",
		"oom-score-adj":          "0", // lower ones need a capability that not every machine has
	})
}

// StopKubelet ends the kubelet of a node. Containers go on.
func (c *Cluster) StopKubelet(node string) error {
	return c.processes().Stop(node+"-kubelet", syscall.SIGKILL, stopTime)
}

// StopAgents ends the kubelet and the kube-proxy of a node, and takes kube-proxy's rules away, as a boot does. Containers go
// on.
func (c *Cluster) StopAgents(ctx context.Context, node string) error {
	errs := []error{c.StopKubelet(node), c.processes().Stop(node+"-kube-proxy", syscall.SIGKILL, stopTime)}
	for _, family := range []string{"ip", "ip6"} {
		tables, err := c.Exec(ctx, node, "nft", "list", "tables", family)
		if err == nil && strings.Contains(tables, "kube-proxy") {
			_, err = c.Exec(ctx, node, "nft", "delete", "table", family, "kube-proxy")
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stopping the agents of %s: %w", node, err)
	}
	return nil
}

// EmptyRun takes away what speakers have written into the node's /run, as a boot does.
func (c *Cluster) EmptyRun(node string) error {
	written, err := filepath.Glob(filepath.Join(nodeFile(c.state, node, "/run/kontena-network-lb"), "*", "*"))
	errs := []error{err}
	for _, file := range written {
		errs = append(errs, os.RemoveAll(file))
	}
	return errors.Join(errs...)
}

// ForgetConnections empties the nodes' connection tracking. A connection from an address and port that was tracked before is
// led to the Pod of that time, also when the Service, of the same address, is another one now.
func (c *Cluster) ForgetConnections() error {
	var errs []error
	for _, node := range Nodes() {
		nl, err := open(node.Name)
		if err == nil {
			err = nl.ConntrackTableFlush(netlink.ConntrackTable) // of all families
			nl.Close()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("connection tracking of %s: %w", node.Name, err))
		}
	}
	return errors.Join(errs...)
}
