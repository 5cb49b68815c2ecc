package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kontena/network-lb/lab"
)

// The load: new connections, each with one request, beside some that stay open and ask again and again.
const (
	newEvery   = 5 * time.Millisecond   // 200 new connections a second
	longLived  = 50                     // connections that stay open
	askEvery   = 200 * time.Millisecond // each of them asks
	settled    = 5 * time.Second        // for how long a load has lost nothing before it is begun to count
	unanswered = 3 * time.Second        // a request that takes longer has failed; a SYN that is lost is sent again after 1 s
)

// longLivedError begins what is said of a connection that did not stay.
const longLivedError = "long-lived connection"

// loadAddress has the test's program be a load's client in place of a test, for this address and port.
const loadAddress = "NETWORK_LB_LAB_LOAD"

// Load is what came of a load since it began, or was asked last.
type Load struct {
	Requests int           `json:"requests"` // answered ones on new connections
	Failed   int           `json:"failed"`   // new connections that were refused, or not there in time
	Cut      int           `json:"cut"`      // new connections that were reset, or had no answer in time
	Slow     int           `json:"slow"`     // new connections with an answer that took more than half a second
	Slowest  time.Duration `json:"slowest"`  // answer on a new connection
	Open     int           `json:"open"`     // long-lived connections now
	Broken   int           `json:"broken"`   // long-lived connections that did not stay
	Errors   []string      `json:"errors"`   // the first of what failed, and the first of what broke, with the time
}

// String says it in a line, and in one more for each of the errors.
func (l Load) String() string {
	text := fmt.Sprintf("%d requests, %d failed, %d cut, %d slow, slowest %d ms, %d long-lived connections, %d broken\n",
		l.Requests, l.Failed, l.Cut, l.Slow, l.Slowest.Milliseconds(), l.Open, l.Broken)
	for _, e := range l.Errors {
		text += "  " + e + "\n"
	}
	return text
}

// within returns an error for each limit that was not kept: failed=N, cut=N and broken=N.
func (l Load) within(limits []string) error {
	var errs []error
	if l.Requests == 0 {
		errs = append(errs, errors.New("not one request was answered"))
	}
	for _, limit := range limits {
		name, value, _ := strings.Cut(limit, "=")
		most, err := strconv.Atoi(value)
		got, known := map[string]int{"failed": l.Failed, "cut": l.Cut, "broken": l.Broken}[name]
		switch {
		case err != nil || !known:
			errs = append(errs, fmt.Errorf("there is no limit %q", limit))
		case got > most:
			errs = append(errs, fmt.Errorf("%d %s, at most %d are allowed", got, name, most))
		}
	}
	return errors.Join(errs...)
}

// load is a client that a host runs as a process of its own: all its threads are in the host's network.
type load struct {
	command *lab.Cmd
	ask     io.WriteCloser
	answers *bufio.Scanner
}

// startLoads starts loads side by side: a name, a host and an address each. With an error it returns those that run.
func startLoads(c *lab.Cluster, args []string) (map[string]*load, error) {
	var mu sync.Mutex
	started := map[string]*load{}
	var all errgroup.Group
	for l := range slices.Chunk(args, 3) {
		all.Go(func() error {
			if len(l) < 3 {
				return fmt.Errorf("a load has a name, a host and an address, not %q", l)
			}
			addr, err := netip.ParseAddr(l[2])
			if err != nil {
				return err
			}
			one, err := startLoad(c, l[1], addr)
			if err != nil {
				return fmt.Errorf("load %s: %w", l[0], err)
			}
			mu.Lock()
			defer mu.Unlock()
			started[l[0]] = one
			return nil
		})
	}
	return started, all.Wait()
}

// startLoad returns when all long-lived connections are open, and nothing was lost for a while: kube-proxy on all nodes
// knows a new Service then.
func startLoad(c *lab.Cluster, host string, addr netip.Addr) (*load, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd, err := c.Command(context.Background(), host, self)
	if err != nil {
		return nil, err
	}
	cmd.Env = append(os.Environ(), loadAddress+"="+netip.AddrPortFrom(addr, 80).String())
	cmd.Stderr = os.Stderr
	l := &load{command: cmd}
	if l.ask, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	l.answers = bufio.NewScanner(out)
	l.answers.Buffer(nil, 1<<20)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if err = l.settle(); err != nil {
		l.stop()
		return nil, err
	}
	return l, nil
}

func (l *load) settle() error {
	began := time.Now()
	since := began
	for now := range time.Tick(100 * time.Millisecond) {
		got, err := l.count() // the first answer waits for the connections
		switch {
		case err != nil:
			return err
		case got.Requests == 0 || got.Failed+got.Cut+got.Broken > 0:
			since = now
		case now.Sub(since) > settled:
			return nil
		case now.Sub(began) > 2*patience:
			return fmt.Errorf("the load is never without losses: %v", got)
		}
	}
	return nil
}

// count returns what came of it since it was asked last.
func (l *load) count() (Load, error) {
	var got Load
	if _, err := fmt.Fprintln(l.ask); err != nil {
		return got, fmt.Errorf("asking the load's client: %w", err)
	}
	if !l.answers.Scan() {
		return got, errors.Join(errors.New("the load's client has ended"), l.answers.Err())
	}
	return got, json.Unmarshal(l.answers.Bytes(), &got)
}

func (l *load) stop() {
	_ = l.ask.Close() // it ends then
	_ = l.command.Wait()
}

// loadClient is the process that the load runs in: it answers each line of its input with a Load, and ends with the input.
type loadClient struct {
	addr string
	open atomic.Int64

	mu sync.Mutex
	Load
}

func runLoad(addr string, in io.Reader, out io.Writer) error {
	c := &loadClient{addr: addr}
	var all sync.WaitGroup
	for range longLived {
		ready := make(chan struct{})
		all.Go(func() { <-ready })
		go c.stay(sync.OnceFunc(func() { close(ready) }))
	}
	all.Wait()
	go c.come()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if err := json.NewEncoder(out).Encode(c.take()); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (c *loadClient) take() Load {
	c.mu.Lock()
	defer c.mu.Unlock()
	got := c.Load
	got.Open = int(c.open.Load())
	c.Load = Load{}
	return got
}

// note counts, and keeps the first errors of each kind.
func (c *loadClient) note(count *int, began time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*count++
	if err != nil && *count <= 10 {
		c.Errors = append(c.Errors, fmt.Sprintf("%s after %d ms: %v", began.UTC().Format("15:04:05.000"), time.Since(began).Milliseconds(), err))
	}
}

// come opens a new connection each time.
func (c *loadClient) come() {
	for range time.Tick(newEvery) {
		go func() {
			began := time.Now()
			conn, err := net.DialTimeout("tcp", c.addr, unanswered)
			if errors.Is(err, syscall.ECONNRESET) { // it was there, and is no more: a SYN that is refused is ECONNREFUSED
				c.note(&c.Cut, began, err)
				return
			}
			if err != nil {
				c.note(&c.Failed, began, err)
				return
			}
			err = request(conn, bufio.NewReader(conn), began.Add(unanswered))
			_ = conn.(*net.TCPConn).SetLinger(0) // nothing remains of it
			_ = conn.Close()
			took := time.Since(began)
			if err != nil {
				c.note(&c.Cut, began, err)
				return
			}
			c.note(&c.Requests, began, nil)
			if took > 500*time.Millisecond {
				c.note(&c.Slow, began, nil)
			}
			c.mu.Lock()
			c.Slowest = max(c.Slowest, took)
			c.mu.Unlock()
		}()
	}
}

// stay keeps a connection, and opens another one when it breaks. It says when the first is open.
func (c *loadClient) stay(ready func()) {
	var conn net.Conn
	var in *bufio.Reader
	for range time.Tick(askEvery) {
		began := time.Now()
		if conn == nil {
			var err error
			if conn, err = net.DialTimeout("tcp", c.addr, unanswered); err != nil {
				conn = nil
				continue
			}
			in = bufio.NewReader(conn)
			c.open.Add(1)
			ready()
		}
		if err := request(conn, in, began.Add(2*unanswered)); err != nil {
			c.note(&c.Broken, began, fmt.Errorf(longLivedError+" from %s: %w", conn.LocalAddr(), err))
			c.open.Add(-1)
			_ = conn.Close()
			conn = nil
		}
	}
}

// request asks once on a connection, and reads the answer.
func request(conn net.Conn, in *bufio.Reader, until time.Time) error {
	if err := conn.SetDeadline(until); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: load\r\n\r\n"); err != nil {
		return err
	}
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return errors.Join(err, answer.Body.Close())
}
