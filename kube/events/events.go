// Package events posts Kubernetes Events about the objects that people look at.
package events

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// maxMessage is the API server's limit for the message of an Event, in bytes.
const maxMessage = 1024

// lanes is how many Events are posted at the same time. Those about one object go one after the other.
const lanes = 4

// An Event that could not be posted is tried again after firstRetry, then after twice as long each time, up to lastRetry.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 10 * time.Second
)

// triesFirst is how often an Event is refused before it lets the others of its lane go first.
const triesFirst = 5

// lifetime is how long an Event is tried: an API server forgets Events after that time itself.
const lifetime = time.Hour

// Poster posts Events under one component's name, in the background: those who have something to tell do not wait, and
// nothing that they tell is dropped before an API server would have forgotten it. The Events about one object stay in
// their order, but for one that the API server refuses again and again. Make it with NewPoster, and let it Run.
type Poster struct {
	client    kubernetes.Interface
	component string
	instance  string
	log       *zap.Logger
	count     atomic.Uint64 // of Events
	lanes     [lanes]lane
}

// lane is a queue of Events.
type lane struct {
	mu     sync.Mutex
	queue  []*corev1.Event
	filled chan struct{} // holds something when the queue may not be empty
}

// NewPoster returns a Poster; instance tells apart the processes of one component, such as a Pod's name. The logger is
// told of what cannot be posted; nil: nobody is.
func NewPoster(client kubernetes.Interface, component, instance string, log *zap.Logger) *Poster {
	if log == nil {
		log = zap.NewNop()
	}
	p := &Poster{client: client, component: component, instance: instance, log: log}
	for i := range p.lanes {
		p.lanes[i].filled = make(chan struct{}, 1)
	}
	return p
}

// Post has one Event posted about an object. Each call is one Event: callers post on transitions only.
func (p *Poster) Post(about corev1.ObjectReference, eventType, reason, message string) {
	now := metav1.NewTime(time.Now())
	namespace := about.Namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	// With a name of its own an Event that is tried again is never there twice.
	name := fmt.Sprintf("%.200s.%x.%x", about.Name, now.UnixNano(), p.count.Add(1))
	h := fnv.New32a()
	_, _ = h.Write([]byte(about.Kind + about.Namespace + "/" + about.Name)) // it never fails
	l := &p.lanes[h.Sum32()%lanes]
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, &corev1.Event{
		ObjectMeta:          metav1.ObjectMeta{Name: name, Namespace: namespace},
		InvolvedObject:      about,
		Type:                eventType,
		Reason:              reason,
		Message:             shorten(message),
		Source:              corev1.EventSource{Component: p.component},
		ReportingController: p.component,
		ReportingInstance:   p.instance,
		FirstTimestamp:      now,
		LastTimestamp:       now,
		Count:               1,
	})
	select {
	case l.filled <- struct{}{}:
	default:
	}
}

// Run posts until ctx ends, and then what is left for as long as patience allows.
func (p *Poster) Run(ctx context.Context, patience time.Duration) {
	posting, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(patience, stop) })()
	var all sync.WaitGroup
	for i := range p.lanes {
		all.Go(func() {
			l := &p.lanes[i]
			for {
				p.drain(posting, l)
				select {
				case <-l.filled:
				case <-ctx.Done():
					p.drain(posting, l)
					return
				}
			}
		})
	}
	all.Wait()
}

// drain posts what is in a lane, until it is empty or ctx ends.
func (p *Poster) drain(ctx context.Context, l *lane) {
	retry, refused := firstRetry, map[*corev1.Event]int{}
	for ctx.Err() == nil {
		e := l.first()
		if e == nil {
			return
		}
		_, err := p.client.CoreV1().Events(e.Namespace).Create(ctx, e, metav1.CreateOptions{})
		if err == nil || apierrors.IsAlreadyExists(err) || hopeless(err) {
			if hopeless(err) {
				p.log.Warn("an Event cannot be posted", zap.String("about", e.InvolvedObject.Kind+" "+e.InvolvedObject.Name),
					zap.String("reason", e.Reason), zap.Error(err))
			}
			l.drop()
			delete(refused, e)
			retry = firstRetry
			continue
		}
		if answered(err) {
			if refused[e]++; refused[e] >= triesFirst {
				l.postpone()
			}
		}
		for _, old := range l.expire(time.Now().Add(-lifetime)) {
			p.log.Warn("an Event could not be posted", zap.String("about", old.InvolvedObject.Kind+" "+old.InvolvedObject.Name),
				zap.String("reason", old.Reason), zap.Error(err))
			delete(refused, old)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retry):
			retry = min(2*retry, lastRetry)
		}
	}
}

// hopeless says that an Event will not be taken at another try either: its namespace is going, say.
func hopeless(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)
}

// answered says that it was the API server that refused, and perhaps for this Event's sake: it is neither away nor busy.
func answered(err error) bool {
	return apierrors.ReasonForError(err) != metav1.StatusReasonUnknown && !apierrors.IsServiceUnavailable(err) &&
		!apierrors.IsTooManyRequests(err) && !apierrors.IsServerTimeout(err) && !apierrors.IsTimeout(err)
}

func (l *lane) first() *corev1.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		return nil
	}
	return l.queue[0]
}

func (l *lane) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue[0] = nil
	l.queue = l.queue[1:]
}

// postpone moves the first Event to the lane's end.
func (l *lane) postpone() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue[1:], l.queue[0])
}

// expire takes out the Events of before a time, and returns them.
func (l *lane) expire(before time.Time) (old []*corev1.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = slices.DeleteFunc(l.queue, func(e *corev1.Event) bool {
		if !e.FirstTimestamp.Time.Before(before) {
			return false
		}
		old = append(old, e)
		return true
	})
	return old
}

// shorten cuts what is longer than an Event may be, between two characters.
func shorten(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	end := maxMessage - len("…")
	for end > 0 && !utf8.RuneStart(message[end]) {
		end--
	}
	return message[:end] + "…"
}
