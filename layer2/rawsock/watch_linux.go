package rawsock

import (
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// subscribe opens a netlink socket that tells of changes to interfaces, their addresses and routes.
func subscribe() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	groups := uint32(unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR |
		unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_ROUTE)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "netlink"), nil
}

// watch asks for a look at the interfaces whenever netlink tells of a change that matters. What it says is not
// used: messages get lost when many come, a look cannot.
func (t *Transport) watch() {
	b := make([]byte, 1<<16)
	for {
		n, err := t.events.Read(b)
		switch {
		case errors.Is(err, os.ErrClosed):
			return
		case errors.Is(err, unix.ENOBUFS): // messages were lost
			t.tell(news{routes: true})
		case err != nil:
			select {
			case <-t.closed:
				return
			case <-time.After(settle):
				t.poke()
			}
		default:
			if news := readNews(b[:n]); news.links || news.routes {
				t.tell(news)
			}
		}
	}
}

// news is what netlink messages say that a look at the interfaces does not show.
type news struct {
	links, routes bool
	unseen        []int // interfaces that the neighbours may have lost sight of
}

// readNews takes from the messages whether they are about interfaces, and whether about default routes. Of other routes
// there may be a million, and busy ones.
func readNews(b []byte) news {
	messages, err := syscall.ParseNetlinkMessage(b)
	if err != nil {
		return news{links: true, routes: true}
	}
	var n news
	for _, m := range messages {
		switch m.Header.Type {
		case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
			n.routes = n.routes || len(m.Data) > 1 && m.Data[1] == 0 // rtm_dst_len
		case unix.RTM_NEWLINK, unix.RTM_DELLINK:
			n.links = true
			if interrupted(m) {
				n.unseen = append(n.unseen, int(nl.DeserializeIfInfomsg(m.Data).Index))
			}
		default:
			n.links = true
		}
	}
	return n
}

// interrupted reports whether a message about an interface says that it is gone or without carrier, or that the
// kernel tells the neighbours where the interface's own addresses are now.
func interrupted(m syscall.NetlinkMessage) bool {
	const (
		eventBondingFailover = 3 // IFLA_EVENT_BONDING_FAILOVER
		eventNotifyPeers     = 4 // IFLA_EVENT_NOTIFY_PEERS
	)
	if len(m.Data) < unix.SizeofIfInfomsg {
		return false
	}
	if m.Header.Type == unix.RTM_DELLINK || nl.DeserializeIfInfomsg(m.Data).Flags&unix.IFF_LOWER_UP == 0 {
		return true
	}
	attrs, err := nl.ParseRouteAttr(m.Data[unix.SizeofIfInfomsg:])
	return err == nil && slices.ContainsFunc(attrs, func(a syscall.NetlinkRouteAttr) bool {
		if a.Attr.Type != unix.IFLA_EVENT || len(a.Value) < 4 {
			return false
		}
		event := binary.NativeEndian.Uint32(a.Value)
		return event == eventBondingFailover || event == eventNotifyPeers
	})
}

// tell keeps the news for the next look, and asks for that.
func (t *Transport) tell(n news) {
	t.newsMu.Lock()
	t.news.routes = t.news.routes || n.routes
	t.news.unseen = append(t.news.unseen, n.unseen...)
	t.newsMu.Unlock()
	t.poke()
}

// takeNews is the news since the last call.
func (t *Transport) takeNews() news {
	t.newsMu.Lock()
	defer t.newsMu.Unlock()
	n := t.news
	t.news = news{}
	return n
}
