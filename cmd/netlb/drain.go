package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/kontena/network-lb/cmd/internal/clientset"
	"github.com/kontena/network-lb/cmd/internal/process"
	"github.com/kontena/network-lb/kube/objects"
	"github.com/kontena/network-lb/kube/reports"
)

const drainSummary = `has a node's traffic go to others before the node goes. It gives the Node the annotation
network-lb.kontena.io/drain, and waits until the node's Speaker report says that nothing is
announced any more. One that is interrupted changes nothing about that: see netlb undrain.

It needs to get and patch Nodes, and to get and list Speakers.

Exit code: 0 it is drained, 1 it is not, 2 the flags are wrong.`

const undrainSummary = `takes a drained node back into service: it takes the annotation network-lb.kontena.io/drain
from the Node. With --wait it waits until the node's Speaker report says so.

It needs to get and patch Nodes, and with --wait to get and list Speakers.

Exit code: 0 it is done, 1 it is not, 2 the flags are wrong.`

// noReport is what there is to say of a node without a report.
const noReport = "no speaker reports on it, so that it announces nothing"

// errNoSpeakers says that nothing tells what becomes of a drain.
var errNoSpeakers = errors.New("the cluster has no Speakers (crds.install of the chart); use --wait=false and look at its speaker's /status")

// reportInterval is how often the report is looked at.
const reportInterval = time.Second

var (
	drainOptions   = nodeOptions("true", "wait until the node is drained", "10m")
	undrainOptions = nodeOptions("false", "wait until the node announces again", "1m")
)

func nodeOptions(wait, usage, timeout string) []process.Option {
	return []process.Option{
		{Name: "wait", Bool: true, Default: wait, Usage: usage},
		{Name: "timeout", Default: timeout, Usage: "how long to wait at most, such as 90s"},
		{Name: "kubeconfig", Usage: "kubeconfig file; empty: as kubectl, $KUBECONFIG or ~/.kube/config, or the Pod's own account"},
		{Name: "context", Usage: "context in the kubeconfig; empty: the current one"},
	}
}

func drain(v process.Values, s streams) int   { return onNode("drain", v, s, drainer.drain) }
func undrain(v process.Values, s streams) int { return onNode("undrain", v, s, drainer.undrain) }

// onNode does something to the node that is named.
func onNode(command string, v process.Values, s streams, do func(drainer, context.Context) error) int {
	timeout, err := time.ParseDuration(v["timeout"])
	if err != nil || timeout <= 0 {
		fmt.Fprintf(s.err, "netlb %s: --timeout: %q is not a time span; write a number with a unit, such as 90s\n", command, v["timeout"])
		return process.ExitUsage
	}
	findKubeconfig(v)
	d := drainer{node: v["NODE"], wait: v["wait"] == "true", timeout: timeout, out: s.out}
	if d.client, err = clientset.New(v, "netlb"); err == nil {
		d.reports, err = process.Dynamic(v, "netlb")
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		err = do(d, ctx)
	}
	if err != nil {
		fmt.Fprintf(s.err, "netlb %s: %v\n", command, err)
		return process.ExitFailure
	}
	return 0
}

// drainer empties a node, or takes it back.
type drainer struct {
	client  kubernetes.Interface
	reports dynamic.Interface
	node    string
	wait    bool
	timeout time.Duration
	out     io.Writer
}

func (d drainer) drain(ctx context.Context) error {
	if err := d.annotate(ctx, "true"); err != nil {
		return err
	}
	const asked = "asked to drain"
	return d.follow(ctx, asked, asked, func(now *reports.Drain) bool { return now != nil && now.State == reports.Drained },
		func(said string) string {
			if said == asked {
				return "its speaker has not taken notice; `kubectl get pods -A -o wide -l app.kubernetes.io/component=speaker` shows whether it runs"
			}
			return "that goes on by itself, and `kubectl get speaker " + d.node + "` shows how far it is"
		})
}

func (d drainer) undrain(ctx context.Context) error {
	if err := d.annotate(ctx, nil); err != nil {
		return err
	}
	return d.follow(ctx, "the annotation is gone", "back in service", func(now *reports.Drain) bool { return now == nil },
		func(string) string {
			return "if it stays so, its speaker does not run, or the node has a taint of drain.on_taints (`kubectl describe node " + d.node + "`)"
		})
}

// follow says what was asked for. Where it is to be waited for, it says what the node's report has of a drain, or that it
// has none, until that is as wanted. late is what there is to say if that takes too long, after what was said last.
func (d drainer) follow(ctx context.Context, asked, none string, wanted func(*reports.Drain) bool, late func(said string) string) error {
	if !d.wait {
		d.say(asked)
		return nil
	}
	said, err := d.until(ctx, func(s *reports.Speaker) (done bool, what string) {
		switch {
		case s == nil:
			return true, noReport
		case s.Status.Drain == nil:
			return wanted(nil), none
		}
		return wanted(s.Status.Drain), state(*s.Status.Drain)
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("gave up after %s: node %s: %s; %s", d.timeout, d.node, said, late(said))
	}
	return fmt.Errorf("it is asked of the node %s, but what comes of it is not known: %w", d.node, err)
}

// state is a drain in words: "Waiting, node-2 is being drained".
func state(d reports.Drain) string {
	if d.Reason == "" {
		return string(d.State)
	}
	return string(d.State) + ", " + d.Reason
}

func (d drainer) say(what string) { fmt.Fprintf(d.out, "node %s: %s\n", d.node, what) }

// annotate writes the annotation; nil takes it away.
func (d drainer) annotate(ctx context.Context, value any) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{objects.DrainAnnotation: value}}})
	if err != nil {
		return err
	}
	_, err = d.client.CoreV1().Nodes().Patch(ctx, d.node, types.MergePatchType, patch, metav1.PatchOptions{})
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("there is no node %q; kubectl get nodes lists those there are", d.node)
	}
	if err != nil {
		return fmt.Errorf("annotating the node %s: %w", d.node, err)
	}
	return nil
}

// until looks at the node's report until that is as it should be or ctx ends, and says what becomes of it. It returns
// what was said last, and an error if that is not how it ended: ctx's, or one after which to look again is of no use.
func (d drainer) until(ctx context.Context, look func(*reports.Speaker) (done bool, what string)) (said string, err error) {
	for {
		report, err := d.report(ctx)
		if errors.Is(err, errNoSpeakers) || apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
			return said, err
		}
		done, what := false, fmt.Sprint("not known now: ", err)
		if err == nil {
			done, what = look(report)
		}
		if ctx.Err() == nil && what != said {
			d.say(what)
			said = what
		}
		if done {
			return said, nil
		}
		select {
		case <-ctx.Done():
			return said, ctx.Err()
		case <-time.After(reportInterval):
		}
	}
}

// report returns what the node's speaker has reported; nil: there is none.
func (d drainer) report(ctx context.Context) (*reports.Speaker, error) {
	speakers := d.reports.Resource(reports.Speakers)
	u, err := speakers.Get(ctx, d.node, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		_, err := speakers.List(ctx, metav1.ListOptions{Limit: 1})
		if apierrors.IsNotFound(err) {
			return nil, errNoSpeakers
		}
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	s, err := reports.ToSpeaker(u)
	return &s, err
}
