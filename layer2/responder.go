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
	// MAC is that of another node to answer with, in whose place this one stands while its speaker restarts; the zero
	// value stands for the interface's own. The packets go on to that node, which forwards them as before. Only what
	// the answer says is the other's: the Ethernet frame comes from the interface's own address, so that no switch
	// takes the other node to have moved (RFC 826 asks for nothing else; virtual routers do the same). Nothing is
	// announced, as the neighbours know that MAC already.
	MAC MAC
	// AnswerPing has ICMP echo requests to the address answered (RFC 792, 4443), if they come in whole and to this
	// node's Ethernet address: at most 200 a second on an interface, and only of up to 2000 bytes. No packet for a
	// Service is touched or held back. An address that is on a device of this machine too is left to the kernel.
	AnswerPing bool
}

// Options are optional: the zero value is good.
type Options struct {
	// Logger gets what an operator should know; nil for silence.
	Logger *zap.Logger
	// Exclude are globs of interfaces never to be chosen by default, added to ContainerInterfaces.
	Exclude []string
	// Rate is how many frames a second may announce addresses on an interface; 0 for 50. Answers are not counted.
	Rate int
	// OnConflict is told at once of another station that claims an address that is answered here; nil for nobody.
	// While it lasts it is told again: of a fellow speaker each second, of a foreign machine each ten seconds. It
	// is called by the goroutine that answers and has to return soon; it may call any method but Close.
	OnConflict func(Conflict)
}

const defaultRate = 50

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

	onConflict func(Conflict)

	answers table
	watch   watch
	probing probing

	mu       sync.Mutex
	closed   bool
	claims   []Claim
	places   map[netip.Addr]place // where each claimed address is answered, or why nowhere
	stations map[int]*station     // by interface index
	probed   map[spot]time.Time   // listened for until then for the sake of probes
}

// place is what became of the claims of one address.
type place struct {
	links []int
	err   error
}

// station is an interface on which addresses are answered.
type station struct {
	link     Link
	holds    map[netip.Addr]holding
	schedule *schedule // of those that are announced
}

// holding is how a station answers for an address.
type holding struct {
	mac  MAC // of the node in whose place it stands; zero for its own
	ping bool
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
		answers:   table{replies: map[spot]reply{}, links: map[int]*traffic{}},
		watch:     watch{records: map[spot]*record{}},
		probing:   probing{waiting: map[spot][]*addressProbe{}},
		stations:  map[int]*station{},
		probed:    map[spot]time.Time{},

		onConflict: o.OnConflict,
	}
	if r.log == nil {
		r.log = zap.NewNop()
	}
	if r.rate <= 0 {
		r.rate = defaultRate
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
// claims of one address add up; one without a MAC counts before one with.
//
// The error joins what is wrong with single claims (no address, a malformed glob); the others are in force. An
// address for which there is no interface is no error: it is taken once there is one, and Status says what is
// missing. After Close the error is net.ErrClosed.
func (r *Responder) Set(claims []Claim) error {
	var errs []error
	wanted := make([]Claim, 0, len(claims))
	for _, c := range claims {
		c.Addr, c.Interfaces = c.Addr.Unmap().WithZone(""), slices.Clone(c.Interfaces)
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
	if c.MAC != (MAC{}) && !c.MAC.Unicast() {
		return fmt.Errorf("claiming %v: MAC %v: not that of a single station", c.Addr, c.MAC)
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
