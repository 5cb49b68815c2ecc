package speaker

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/kube/reports"
)

// sessionlessInterval is how often the other speakers' reports are read while this node is being emptied.
const sessionlessInterval = 5 * time.Second

// sessionless knows of which nodes no router hears, as their speakers report: they take over nothing from a node that is being
// emptied.
type sessionless struct {
	objects dynamic.ResourceInterface // nil: there are no reports, and every speaker that is Ready is taken to have sessions
	wake    func()
	log     *zap.Logger

	mu      sync.Mutex
	asking  bool
	asked   time.Time
	without map[string]bool
}

func newSessionless(o Options, log *zap.Logger, wake func()) *sessionless {
	l := &sessionless{wake: wake, log: log}
	if o.Reports != nil {
		l.objects = o.Reports.Resource(reports.Speakers)
	}
	return l
}

// tell returns the nodes with what is known of their sessions. matters says that this node is being emptied: they are asked
// for now and then meanwhile, beside the loop.
func (l *sessionless) tell(ctx context.Context, matters bool, nodes []announce.Node) []announce.Node {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.objects == nil:
		return nodes
	case !matters:
		l.asked, l.without = time.Time{}, nil
		return nodes
	case !l.asking && time.Since(l.asked) >= sessionlessInterval:
		l.asking, l.asked = true, time.Now()
		go l.ask(ctx)
	}
	if len(l.without) == 0 {
		return nodes
	}
	nodes = slices.Clone(nodes)
	for i := range nodes {
		nodes[i].NoSession = l.without[nodes[i].Name]
	}
	return nodes
}

// ask reads the reports. What cannot be read changes nothing.
func (l *sessionless) ask(ctx context.Context) {
	asking, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	list, err := l.objects.List(asking, metav1.ListOptions{ResourceVersion: "0"}) // the API server's cache will do
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asking = false
	time.AfterFunc(sessionlessInterval, l.wake)
	if err != nil {
		l.log.Warn("whether other nodes have BGP sessions is not known anew", zap.Error(err))
		return
	}
	without := map[string]bool{}
	for _, o := range list.Items {
		// It is written by a speaker: what is no text there says nothing.
		if up, _, _ := unstructured.NestedString(o.Object, "status", "bgp", "sessions"); strings.HasPrefix(up, "0/") {
			without[o.GetName()] = true
		}
	}
	if !maps.Equal(without, l.without) {
		l.without = without
		l.wake()
	}
}
