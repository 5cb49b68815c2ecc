package e2e

import (
	"context"

	"github.com/rogpeppe/go-internal/testscript"
)

// shuttingDown is the condition that a kubelet gives its Node before it ends the Pods.
const shuttingDown = `{"status":{"conditions":[{"type":"Ready","status":"False","reason":"KubeletNotReady","message":"node is shutting down"}]}}`

// boots adds the words for a node that boots. Its kernel goes on, and so do the Pods that have a network of their own.
func boots(out map[string]func(ts *testscript.TestScript, neg bool, args []string)) {
	down := map[string]bool{} // agents that do not run
	start := func(node, agent string) error {
		if !down[node+agent] {
			return nil
		}
		delete(down, node+agent)
		if agent == "kubelet" {
			return theCluster.StartKubelet(node)
		}
		return theCluster.StartKubeProxy(node)
	}
	// halt NODE: ends kubelet, kube-proxy and the speaker of a node, and takes away what they have left in the kernel and in
	// /run, until the story ends or says `boot` and `proxy`.
	out["halt"] = func(ts *testscript.TestScript, _ bool, args []string) {
		node := args[0]
		ts.Defer(func() {
			ts.Check(start(node, "kubelet"))
			ts.Check(start(node, "kube-proxy"))
		})
		down[node+"kubelet"], down[node+"kube-proxy"] = true, true
		ts.Check(theCluster.StopAgents(context.Background(), node))
		_, err := signal(context.Background(), theCluster, node, "KILL")
		ts.Check(err)
		ts.Check(theCluster.EmptyRun(node))
	}
	// shutdown NODE: what a kubelet does when its machine is shut down, as far as a speaker sees it: it says so, and ends the
	// speaker. It is away then, until the story ends or says `boot`.
	out["shutdown"] = func(ts *testscript.TestScript, _ bool, args []string) {
		node := args[0]
		ts.Defer(func() { ts.Check(start(node, "kubelet")) })
		down[node+"kubelet"] = true
		ts.Check(theCluster.StopKubelet(node))
		_, err := theCluster.Kubectl(context.Background(), "patch", "node", node, "--subresource=status", "--patch", shuttingDown)
		ts.Check(err)
		_, err = signal(context.Background(), theCluster, node, "TERM")
		ts.Check(err)
	}
	// boot NODE: starts the kubelet of a node that was halted or shut down, which starts the speaker.
	out["boot"] = func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(start(args[0], "kubelet")) }
	// proxy NODE: starts its kube-proxy.
	out["proxy"] = func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(start(args[0], "kube-proxy")) }
}
