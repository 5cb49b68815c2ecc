package speaker

import (
	"context"
	"hash/fnv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/cache"

	"github.com/kontena/network-lb/kube/reports"
)

const (
	// reportInterval is the least time between two reports in a small cluster; in one of more than 100 nodes it is as long
	// as keeps all speakers together at nodesPerSecond reports a second.
	reportInterval = 5 * time.Second
	nodesPerSecond = 20
	// urgentInterval is the least time between two reports that somebody waits for.
	urgentInterval = time.Second
	// reportPatience is how long the first report waits for the sessions to come up.
	reportPatience = 5 * time.Second
	// lookInterval is how often the sessions and the like are looked at, and lookPause how long after a plan was carried
	// out it is.
	lookInterval = time.Second
	lookPause    = 100 * time.Millisecond
	// reportTimeout is how long a request for a report may take, and lastRetry the longest time until it is tried again.
	reportTimeout = 3 * time.Second
	lastRetry     = 15 * time.Second
	// foreignInterval is how long a report that a speaker of another installation has written over ours is left alone.
	foreignInterval = 5 * time.Minute
	// absentInterval is how often is asked for the resource where there is none.
	absentInterval = time.Minute
)

// ReportStatus is what became of the Speaker report.
type ReportStatus struct {
	// Written counts the writes, and Failed those that the API server did not take.
	Written uint64 `json:"written"`
	Failed  uint64 `json:"failed"`
	// Problem says why the report is not up to date; empty: it is, or is about to be.
	Problem string `json:"problem,omitempty"`
}

// reporter writes the report of this node: when something has changed, and not more often than the intervals say. It
// works beside the speaker's loop, which never waits for it.
type reporter struct {
	s       *Speaker
	objects dynamic.ResourceInterface
	store   cache.Store // what the cluster has: this node's report, or nothing
	wake    chan struct{}
	content content

	// For run alone.
	began   time.Time // of the first look at a plan
	last    summary   // what the last write said
	at      time.Time // when that was
	changed time.Time // since when the report should be another; zero: it should not
	retry   time.Time // not to be tried before
	pause   time.Duration

	mu      sync.Mutex
	written *unstructured.Unstructured // what the cache does not know yet
	state   ReportStatus
}

func newReporter(s *Speaker) *reporter {
	return &reporter{s: s, objects: s.opts.Reports.Resource(reports.Speakers), wake: make(chan struct{}, 1), content: newContent(s)}
}

// rouse has the reporter look whether something has changed; it never blocks.
func (r *reporter) rouse() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *reporter) status() *ReportStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.state
	return &now
}

// run reports until ctx ends.
func (r *reporter) run(ctx context.Context) {
	if !r.watch(ctx) {
		return
	}
	for ctx.Err() == nil {
		timer := time.NewTimer(r.turn(ctx))
		select {
		case <-ctx.Done():
		case <-r.wake:
			pauseUntil(ctx, time.Now().Add(lookPause)) // what is announced goes first
		case <-timer.C:
		}
		timer.Stop()
	}
}

func pauseUntil(ctx context.Context, t time.Time) {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// turn writes the report if that is due, and returns after what time to look again.
func (r *reporter) turn(ctx context.Context) time.Duration {
	status, sum, decided := r.content.look()
	uid, nodes := r.s.state.uid(r.s.opts.Node)
	if !decided || uid == "" {
		return lookInterval
	}
	now := time.Now()
	if r.began.IsZero() {
		r.began = now
	}
	before := r.seen()
	wanted, err := r.object(status, uid)
	if err != nil {
		r.failed(err)
		return lookInterval
	}
	if same(before, wanted) {
		r.changed, r.last = time.Time{}, sum
		r.fine(false)
		return lookInterval
	}
	if r.changed.IsZero() {
		r.changed = now
	}
	due := r.due(nodes, sum)
	if r.foreign(before) {
		due = later(due, r.at.Add(foreignInterval))
	}
	if wait := due.Sub(now); wait > 0 {
		return min(wait, lookInterval)
	}
	r.write(ctx, before, wanted, sum)
	return lookPause
}

// foreign says that a speaker of another installation has written a report since we did.
func (r *reporter) foreign(u *unstructured.Unstructured) bool {
	if u == nil || r.at.IsZero() {
		return false
	}
	by, _, err := unstructured.NestedString(u.Object, "status", "installation")
	return err == nil && by != "" && by != reports.Installation(r.s.opts.Namespace, r.s.opts.LastGood)
}

// due is when a report that should be another is written.
func (r *reporter) due(nodes int, sum summary) time.Time {
	share := time.Second * time.Duration(nodes) / nodesPerSecond
	// All the nodes of a cluster hear of a change at the same time: each has its own place in what follows.
	h := fnv.New32a()
	_, _ = h.Write([]byte(r.s.opts.Node)) // it never fails
	due := r.changed.Add(share / 1000 * time.Duration(h.Sum32()%1000))
	if !r.at.IsZero() {
		due = later(due, r.at.Add(max(reportInterval, share)))
	} else if !sum.up {
		due = later(due, r.began.Add(reportPatience))
	}
	if sum.urgent(r.last) {
		due = later(r.changed, r.at.Add(urgentInterval))
	}
	return later(due, r.retry)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
