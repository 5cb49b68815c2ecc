package lab

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// running returns a lab for the test: the one that is up, or one that goes down with the test.
func running(t *testing.T) *Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("brings a cluster up: not with -short")
	}
	if err := checkMachine(); err != nil {
		t.Skip(err)
	}
	_, before := Attach()
	c, err := Up(t.Context(), Options{Log: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	if before != nil {
		t.Cleanup(func() {
			if err := Down(context.Background(), Options{Log: t.Logf}); err != nil {
				t.Error(err)
			}
		})
	}
	return c
}

// must returns what a command printed.
func must(t *testing.T) func(string, error) string {
	return func(out string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

func TestLab(t *testing.T) {
	c := running(t)
	must(t)(c.Kubectl(t.Context(), "apply", "-f", "testdata/web.yaml"))
	t.Cleanup(func() {
		if _, err := c.Kubectl(context.Background(), "delete", "-f", "testdata/web.yaml"); err != nil {
			t.Error(err)
		}
	})
	must(t)(c.Kubectl(t.Context(), "rollout", "status", "-n", "lab-test", "deployment/web", "--timeout=2m"))

	t.Run("a pod on every node", func(t *testing.T) { podOnEveryNode(t, c) })
	t.Run("dual-stack Service", func(t *testing.T) { dualStackService(t, c) })
	t.Run("pods reach the API server as their ServiceAccount", func(t *testing.T) { podsReachAPI(t, c) })
	t.Run("kubectl logs", func(t *testing.T) { showLogs(t, c) })
	t.Run("everybody reaches everybody", func(t *testing.T) { reachability(t, c) })
	t.Run("routers", func(t *testing.T) { routersAnswer(t, c) })
	t.Run("saved logs", func(t *testing.T) { savedLogs(t, c) })
}

func podOnEveryNode(t *testing.T, c *Cluster) {
	client, err := c.client()
	if err != nil {
		t.Fatal(err)
	}
	pods, err := client.CoreV1().Pods("lab-test").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	nodes := map[string]bool{}
	for _, pod := range pods.Items {
		nodes[pod.Spec.NodeName] = true
		if len(pod.Status.PodIPs) != 2 {
			t.Errorf("pod %s has the addresses %v, want one of each family", pod.Name, pod.Status.PodIPs)
		}
	}
	if len(nodes) != len(Nodes()) {
		t.Errorf("pods run on %v, want all nodes", nodes)
	}
}

// clusterURLs returns the Service's address of each family as URLs.
func clusterURLs(t *testing.T, c *Cluster) []string {
	t.Helper()
	client, err := c.client()
	if err != nil {
		t.Fatal(err)
	}
	service, err := client.CoreV1().Services("lab-test").Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(service.Spec.ClusterIPs) != 2 {
		t.Fatalf("the Service has %v, want an address of each family", service.Spec.ClusterIPs)
	}
	return []string{"http://" + service.Spec.ClusterIPs[0], "http://[" + service.Spec.ClusterIPs[1] + "]"}
}

func dualStackService(t *testing.T, c *Cluster) {
	for _, url := range clusterURLs(t, c) {
		for _, node := range Nodes() {
			var answer string
			err := Eventually(t.Context(), time.Minute, func(ctx context.Context) (bool, error) {
				var err error // kube-proxy may be a moment behind
				answer, err = c.Exec(ctx, node.Name, "curl", "-sS", "--max-time", "3", url)
				return err == nil, nil
			})
			if err != nil || !strings.HasPrefix(answer, "pod=web-") {
				t.Errorf("%s from %s answered %q, %v", url, node.Name, answer, err)
			}
		}
	}
}

func podsReachAPI(t *testing.T, c *Cluster) {
	url := clusterURLs(t, c)[0] + "/kubernetes"
	answer := must(t)(c.Exec(t.Context(), Node1, "curl", "-sS", "--max-time", "10", url))
	if !strings.Contains(answer, "system:serviceaccount:lab-test:default") {
		t.Errorf("the API server told a pod %q, want its ServiceAccount", answer)
	}
}

func showLogs(t *testing.T, c *Cluster) {
	logs := must(t)(c.Kubectl(t.Context(), "logs", "-n", "lab-test", "-l", "app=web", "--prefix", "--tail=-1"))
	for _, node := range Nodes() {
		if !strings.Contains(logs, `on node "`+node.Name+`"`) {
			t.Errorf("kubectl logs lacks the pod on %s:\n%s", node.Name, logs)
		}
	}
}

func reachability(t *testing.T, c *Cluster) {
	far, err := HostNamed(Far)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{Client, Node1, Node2, Node3} {
		for _, addr := range far.WANAddrs() {
			if _, err := c.Exec(t.Context(), host, "ping", "-c", "1", "-W", "5", addr.String()); err != nil {
				t.Errorf("%s does not reach %s: %v", host, addr, err)
			}
		}
	}
}

func routersAnswer(t *testing.T, c *Cluster) {
	for router, asn := range map[string]float64{FRR1: FRR1ASN, FRR2: FRR2ASN} {
		var summary map[string]any
		out := must(t)(c.FRR(t.Context(), router, "show bgp ipv4 unicast json"))
		if err := json.Unmarshal([]byte(out), &summary); err != nil || summary["localAS"] != asn {
			t.Errorf("%s says %q, %v, want AS %v", router, out, err, asn)
		}
	}
	if out := must(t)(c.BIRD(t.Context(), "show protocols")); !strings.Contains(out, "nodes4") {
		t.Errorf("%s says %q, want the protocol nodes4", BIRD1, out)
	}
}

func savedLogs(t *testing.T, c *Cluster) {
	dir := t.TempDir()
	if err := c.SaveLogs(dir); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"kube-apiserver.log", "node-1-kubelet.log", "frr-1/bgpd.conf", "node-1-pods/*/*/*.log"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(files) == 0 {
			t.Errorf("the saved logs lack %s", pattern)
			continue
		}
		if info, err := os.Stat(files[0]); err != nil || info.Size() == 0 {
			t.Errorf("%s is empty, %v", files[0], err)
		}
	}
}
