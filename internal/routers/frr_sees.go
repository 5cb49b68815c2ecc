package routers

import "time"

// Routes are those from one neighbour, of one family ("ipv4" or "ipv6").
func (f *FRR) Routes(family, neighbour string) map[string]Route {
	f.t.Helper()
	var table struct {
		Routes map[string][]struct {
			PeerID   string `json:"peerId"`
			Path     string
			Valid    bool
			Nexthops []struct {
				IP   string
				Used bool
			}
		}
	}
	f.JSON("bgpd", &table, "show bgp "+family+" unicast json")
	all := map[string]Route{}
	for prefix, paths := range table.Routes {
		for _, p := range paths {
			if p.PeerID != neighbour || !p.Valid {
				continue
			}
			for _, nh := range p.Nexthops {
				if nh.Used {
					all[prefix] = Route{p.Path, nh.IP}
				}
			}
		}
	}
	return all
}

// Received is how many routes of a family ("ipv4" or "ipv6") each neighbour has sent, by FRR's own count: it looks through
// no table.
func (f *FRR) Received(family string) map[string]int {
	f.t.Helper()
	var summary struct {
		Peers map[string]struct{ PfxRcd int }
	}
	f.JSON("bgpd", &summary, "show bgp "+family+" unicast summary json")
	n := map[string]int{}
	for address, p := range summary.Peers {
		n[address] = p.PfxRcd
	}
	return n
}

// Neighbour is what FRR says of one.
type Neighbour struct {
	BgpState               string
	ConnectionsEstablished int
	MessageStats           struct{ UpdatesRecv int }
	LastNotificationReason string
	LastResetDueTo         string
	RemoteAs               uint32
	NbrInternalLink        bool
	RemoteRouterID         string

	BgpTimerHoldTimeMsecs, BgpTimerKeepAliveIntervalMsecs int

	GracefulRestartInfo struct {
		RemoteGrMode string
		Timers       struct{ ReceivedRestartTimer int }
	}
}

// Neighbour is bgpd's view of one.
func (f *FRR) Neighbour(address string) Neighbour {
	f.t.Helper()
	var all map[string]Neighbour
	f.JSON("bgpd", &all, "show bgp neighbors "+address+" json")
	return all[address]
}

// BFD is bfdd's view of the session with a neighbour.
func (f *FRR) BFD(neighbour string) BFD {
	f.t.Helper()
	type peer struct {
		Peer, Status     string
		RemoteDiagnostic string `json:"remote-diagnostic"`
		Transmit         int    `json:"transmit-interval"`
		Receive          int    `json:"receive-interval"`
		RemoteTransmit   int    `json:"remote-transmit-interval"`
		RemoteReceive    int    `json:"remote-receive-interval"`
		RemoteMultiplier int    `json:"remote-detect-multiplier"`
		SessionDown      int    `json:"session-down"`
	}
	var peers, counters []peer
	f.JSON("bfdd", &peers, "show bfd peers json")
	f.JSON("bfdd", &counters, "show bfd peers counters json")
	var v BFD
	for _, p := range append(peers, counters...) {
		if p.Peer != neighbour {
			continue
		}
		v.Falls += p.SessionDown
		if p.Status != "" {
			ms := time.Millisecond
			v.Up, v.Closed = p.Status == "up", p.RemoteDiagnostic == "administratively down"
			v.Interval = ms * time.Duration(max(p.Transmit, p.RemoteReceive))
			v.Timeout = ms * time.Duration(p.RemoteMultiplier*max(p.Receive, p.RemoteTransmit))
		}
	}
	return v
}
