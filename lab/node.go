package lab

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/kontena/network-lb/lab/namespace"
	"github.com/kontena/network-lb/lab/process"
)

//go:embed node/containerd.toml
var containerdConfig string

//go:embed node/kubelet.yaml
var kubeletConfig string

//go:embed node/cni.json
var cniConfig string

// nodeFolders are the parts of the file system that every node has of its own; the rest it shares with the
// machine.
var nodeFolders = []string{
	"/run/containerd", "/run/kontena-network-lb", "/var/lib/containerd", "/var/lib/cni", "/var/lib/kubelet", "/var/log/pods", "/var/log/containers",
}

// nodeFile is where a file of the node is, seen from the machine: "/var/lib/kubelet/x" is in "var-lib-kubelet".
func nodeFile(state, node, path string) string {
	for _, folder := range nodeFolders {
		if rest, ok := strings.CutPrefix(path, folder); ok {
			return filepath.Join(state, "nodes", node, strings.ReplaceAll(folder[1:], "/", "-"), rest)
		}
	}
	panic("not in a folder of the node's own: " + path)
}

// The node's files, as the node sees them.
const (
	containerdConfigFile = "/var/lib/containerd/config.toml"
	kubeletConfigFile    = "/var/lib/kubelet/config.yaml"
	cniConfigFile        = "/var/lib/cni/net.d/10-lab.conflist"
	containerdSocketFile = "/run/containerd/containerd.sock"
)

// startContainerd makes the node's file system and starts containerd in it.
func (c *Cluster) startContainerd(ctx context.Context, node Host) error {
	if err := makeCgroups(node.Name); err != nil {
		return err
	}
	if err := c.makeNodeFiles(node); err != nil {
		return fmt.Errorf("making the files of %s: %w", node.Name, err)
	}
	name := node.Name + "-containerd"
	err := c.processes().Start(process.Command{
		Name: name, Path: c.tools["containerd"], Args: []string{"--config", containerdConfigFile}, In: c.host(node.Name),
	})
	if err != nil {
		return err
	}
	return c.until(ctx, name, 30*time.Second, func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", nodeFile(c.state, node.Name, containerdSocketFile))
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// makeNodeFiles writes the node's configuration and makes the mount namespace that shows it.
func (c *Cluster) makeNodeFiles(node Host) error {
	binds := make([]namespace.Bind, 0, len(nodeFolders))
	for _, folder := range nodeFolders {
		binds = append(binds, namespace.Bind{Source: nodeFile(c.state, node.Name, folder), Target: folder})
	}
	data := nodeData(node, c.families, c.binaries.Runc, c.tools["cni"])
	files := map[string]string{
		containerdConfigFile: containerdConfig, kubeletConfigFile: kubeletConfig, cniConfigFile: cniConfig,
		"/var/lib/kubelet/resolv.conf": "", // pods get no name server: there is none
	}
	for path, content := range files {
		if err := writeTemplate(nodeFile(c.state, node.Name, path), content, data); err != nil {
			return err
		}
	}
	return namespace.AddMount(mountFile(c.state, node.Name), binds)
}

// nodeData is what the node's files are filled in with.
func nodeData(node Host, f Families, runc, cni string) map[string]any {
	return map[string]any{
		"Runc":   runc,
		"CNI":    cni,
		"Pods":   node.PodCIDRs(f),
		"Listen": f.listen(),
		"Socket": containerdSocketFile,
		"Cgroup": "/" + cgroupName(node.Name),
	}
}

// startAgents registers the node and starts its agents.
func (c *Cluster) startAgents(ctx context.Context, node Host) error {
	if err := c.register(ctx, node); err != nil {
		return fmt.Errorf("registering %s: %w", node.Name, err)
	}
	return errors.Join(c.StartKubelet(node.Name), c.StartKubeProxy(node.Name))
}

// register makes the Node before kubelet does, because only so it gets the pod networks that routes exist for.
func (c *Cluster) register(ctx context.Context, node Host) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	object := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node.Name}}
	for _, cidr := range node.PodCIDRs(c.families) {
		object.Spec.PodCIDRs = append(object.Spec.PodCIDRs, cidr.String())
	}
	object.Spec.PodCIDR = object.Spec.PodCIDRs[0]
	_, err = client.CoreV1().Nodes().Create(ctx, object, metav1.CreateOptions{})
	return err
}

// waitNode waits until the node says that it can run pods.
func (c *Cluster) waitNode(ctx context.Context, node Host) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	return c.until(ctx, node.Name+"-kubelet", 2*time.Minute, func(ctx context.Context) error {
		object, err := client.CoreV1().Nodes().Get(ctx, node.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range object.Status.Conditions {
			if condition.Type != corev1.NodeReady {
				continue
			}
			if condition.Status == corev1.ConditionTrue {
				return nil
			}
			return fmt.Errorf("%s: %s", condition.Reason, condition.Message)
		}
		return fmt.Errorf("the node has not reported yet")
	})
}

// writeTemplate writes a file, filling in data.
func writeTemplate(path, content string, data any) error {
	t, err := template.New(filepath.Base(path)).Option("missingkey=error").Parse(content)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(t.Execute(f, data), f.Close())
}
