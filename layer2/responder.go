// Package layer2 answers ARP (RFC 826) and neighbour discovery (RFC 4861) for addresses that are on no interface,
// and tells the neighbours when it takes one.
package layer2

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Claim is an address to be answered for.
type Claim struct {
	Addr netip.Addr
	// Interfaces are names or globs of the interfaces to answer on; empty for the default rule, see Choose.
	Interfaces []string
}

// Options are optional: the zero value is good.
type Options struct {
	// Logger gets what an operator should know; nil for silence.
	Logger *zap.Logger
	// Exclude are globs of interfaces never to be chosen by default, added to ContainerInterfaces.
	Exclude []string
	// Rate is how many frames a second may announce addresses on an interface; 0 for 50. Answers are not counted.
	Rate int
}

// Responder answers for the claimed addresses, on the interfaces where they are claimed. Its methods are safe for
// concurrent use.
type Responder struct {
	transport Transport
	log       *zap.Logger
	exclude   []string
	rate      int
	wake      chan struct{} // something new is due
	stop      chan struct{}
	done      sync.WaitGroup

	answers table

	mu       sync.Mutex
	closed   bool
	claims   []Claim
	places   map[netip.Addr]place // where each claimed address is answered, or why nowhere
	stations map[int]*station     // by interface index
}

// place is what became of the claims of one address.
type place struct {
	links []int
	err   error
}

// station is an interface on which addresses are answered.
type station struct {
	link     Link
	schedule *schedule
}

// NewResponder starts a Responder that answers nothing yet. It owns the transport from now on: Close closes it.
func NewResponder(transport Transport, o Options) *Responder {
	r := &Responder{
		transport: transport,
		log:       o.Logger,
		exclude:   append(slices.Clone(ContainerInterfaces), o.Exclude...),
		rate:      o.Rate,
		wake:      make(chan struct{}, 1),
		stop:      make(chan struct{}),
		answers:   table{macs: map[spot]MAC{}, counters: map[int]*counters{}},
		stations:  map[int]*station{},
	}
	if r.log == nil {
		r.log = zap.NewNop()
	}
	if r.rate <= 0 {
		r.rate = 50
	}
	changed := r.look()
	r.done.Go(r.receive)
	r.done.Go(func() { r.announce(changed) })
	return r
}

// Set makes claims everything that is answered for. An address that is new, or new on an interface, is answered at
// once and announced: gratuitous ARP or unsolicited neighbour advertisements at once, after 0.1, 0.5, 1, 2 and 4
// seconds, and then each minute, addresses taking turns so as to keep to the rate. One that is no longer claimed is
// silent from the moment Set returns; nothing is sent to say so. The same claims again send nothing. Several
// claims of one address add up.
//
// The error joins what is wrong with single claims (no address, a malformed glob); the others are in force. An
// address for which there is no interface is no error: it is taken once there is one, and Status says what is
// missing. After Close the error is net.ErrClosed.
func (r *Responder) Set(claims []Claim) error {
	var errs []error
	wanted := make([]Claim, 0, len(claims))
	for _, c := range claims {
		c = Claim{c.Addr.Unmap().WithZone(""), slices.Clone(c.Interfaces)}
		if err := c.validate(); err != nil {
			errs = append(errs, err)
			continue
		}
		wanted = append(wanted, c)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return net.ErrClosed
	}
	r.claims = wanted
	links, _ := r.transport.Links()
	r.reconcile(links, time.Now())
	return errors.Join(errs...)
}

func (c Claim) validate() error {
	if !c.Addr.IsValid() || c.Addr.IsUnspecified() || c.Addr.IsMulticast() {
		return fmt.Errorf("claiming %v: no address of a single station", c.Addr)
	}
	for _, glob := range c.Interfaces {
		if _, err := path.Match(glob, ""); err != nil {
			return fmt.Errorf("claiming %v: interface %q: %w", c.Addr, glob, err)
		}
	}
	return nil
}

// Close stops answering, sends nothing, and closes the transport. It returns when nothing runs any more.
func (r *Responder) Close() error {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil
	}
	r.closed = true
	close(r.stop)
	r.mu.Unlock()
	r.answers.clear()
	err := r.transport.Close()
	r.done.Wait()
	return err
}
