package neigh

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

var (
	allNodes   = netip.MustParseAddr("ff02::1")
	allRouters = netip.MustParseAddr("ff02::2")
)

// largest is the longest message that is read; one that is longer is no valid one.
const largest = 1 << 14

// ndpWire is a raw ICMPv6 socket on a link (RFC 4861).
type ndpWire struct {
	conn *ndp.Conn
	self netip.Addr // without zone
	mac  net.HardwareAddr
	buf  []byte
}

// open needs CAP_NET_RAW.
func (linux) open(v view) (_ wire, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("listening for routers on %s: %w", v.name, err)
		}
	}()
	// Package net remembers the index of a name for a minute, also of an interface that was replaced. Of a number it
	// remembers nothing.
	ifi := &net.Interface{Index: v.index, Name: strconv.Itoa(v.index)}
	conn, _, err := ndp.Listen(ifi, ndp.Addr(v.addr.String()))
	if errors.Is(err, unix.EPERM) {
		return nil, fmt.Errorf("a raw socket wants the capability NET_RAW: %w", err)
	}
	if err != nil {
		return nil, err
	}
	var filter ipv6.ICMPFilter
	filter.SetAll(true)
	filter.Accept(ipv6.ICMPTypeRouterAdvertisement)
	filter.Accept(ipv6.ICMPTypeRouterSolicitation)
	if err := errors.Join(
		conn.SetICMPFilter(&filter),
		conn.SetControlMessage(ipv6.FlagHopLimit, true),
		conn.JoinGroup(allRouters), // solicitations go there; the kernel is a member only where it forwards IPv6
	); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &ndpWire{conn: conn, self: v.addr, mac: net.HardwareAddr(v.mac), buf: make([]byte, largest)}, nil
}

func (w *ndpWire) receive() (message, error) {
	for {
		n, control, from, err := w.conn.ReadRaw(w.buf)
		if err != nil {
			return message{}, err
		}
		if m, ok := w.read(w.buf[:n], control, from.WithZone("")); ok {
			return m, nil
		}
	}
}

// read is a message of another node that is valid by RFC 4861 sections 6.1.1 and 6.1.2. A hop limit of 255 means that
// it was sent on this link. The kernel has checked the checksum.
func (w *ndpWire) read(b []byte, control *ipv6.ControlMessage, from netip.Addr) (message, bool) {
	if from == w.self || control == nil || control.HopLimit != ndp.HopLimit || len(b) < 2 || b[1] != 0 { // code
		return message{}, false
	}
	parsed, err := ndp.ParseMessage(b)
	if err != nil {
		return message{}, false
	}
	switch m := parsed.(type) {
	case *ndp.RouterAdvertisement:
		return message{from: from, advertisement: true, lifetime: m.RouterLifetime}, from.IsLinkLocalUnicast()
	case *ndp.RouterSolicitation:
		return message{from: from}, true
	}
	return message{}, false
}

func (w *ndpWire) advertise() error {
	err := w.conn.WriteTo(&ndp.RouterAdvertisement{Options: w.options()}, nil, allNodes)
	if err != nil {
		return fmt.Errorf("sending a router advertisement: %w", err)
	}
	return nil
}

func (w *ndpWire) solicit() error {
	if err := w.conn.WriteTo(&ndp.RouterSolicitation{Options: w.options()}, nil, allRouters); err != nil {
		return fmt.Errorf("soliciting routers: %w", err)
	}
	return nil
}

// options save the receiver from asking for our hardware address. There is none on a tunnel.
func (w *ndpWire) options() []ndp.Option {
	if len(w.mac) != 6 {
		return nil
	}
	return []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: w.mac}}
}

func (w *ndpWire) Close() error { return w.conn.Close() }
