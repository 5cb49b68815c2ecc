package neigh

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	inquiry = 20 * time.Second // whoever needs an interface is made to ask again that often
	lease   = time.Minute      // an interface that nobody has asked about that long is left alone
)

// search looks for the router on every interface that it is asked about, between begin and end.
type search struct {
	kernel kernel
	news   chan struct{} // the way by some interface has changed

	mu      sync.Mutex
	links   map[string]*sought
	ctx     context.Context // nil: not begun
	running sync.WaitGroup
}

// sought is an interface that somebody needs.
type sought struct {
	*link
	asked time.Time
	leave context.CancelFunc // nil: nobody has looked at it
}

func newSearch(k kernel) *search {
	return &search{kernel: k, news: make(chan struct{}, 1), links: map[string]*sought{}}
}

// way says how the router on an interface is reached, or why it is not. The interface is watched from then on.
func (s *search) way(name string) (way, error) {
	s.mu.Lock()
	x := s.links[name]
	if x == nil {
		x = &sought{link: newLink(name, s.kernel, s.tell)}
		s.links[name] = x
		s.start(x)
	}
	x.asked = time.Now()
	s.mu.Unlock()
	return x.way()
}

// tell says that there is news, without waiting for anybody.
func (s *search) tell() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// begin looks at the interfaces until ctx ends. It fails if that is being done already.
func (s *search) begin(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx != nil {
		return errors.New("the node's routers are looked for already")
	}
	s.ctx = ctx
	for _, x := range s.links {
		s.start(x)
	}
	return nil
}

// end waits until nobody looks any more. The context of begin has ended.
func (s *search) end() {
	s.mu.Lock()
	s.ctx = nil
	s.mu.Unlock()
	s.running.Wait()
}

// start has the interface looked at, if the search has begun. The caller holds the mutex.
func (s *search) start(x *sought) {
	if s.ctx == nil {
		return
	}
	ctx, leave := context.WithCancel(s.ctx)
	x.leave = leave
	s.running.Go(func() { x.run(ctx) })
}

// look has every interface looked at again.
func (s *search) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.links {
		x.look()
	}
}

// sweep leaves the interfaces alone that nobody has asked about for long, and reports whether there are others.
func (s *search) sweep(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, x := range s.links {
		if now.Sub(x.asked) < lease {
			continue
		}
		delete(s.links, name)
		if x.leave != nil {
			x.leave()
		}
	}
	return len(s.links) > 0
}
