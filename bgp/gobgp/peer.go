package gobgp

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	api "github.com/osrg/gobgp/v3/api"

	"github.com/kontena/network-lb/bgp"
)

// deferral is how long a first connection after a restart waits at most for the router's End-of-RIB before
// it sends our routes (RFC 4724 section 4.1; GoBGP's own default is 360 s).
const deferral = 10 * time.Second

// apiPeer is a peer as GoBGP takes it. Without a source the kernel chooses.
func apiPeer(p bgp.Peer, local bgp.Local, restarting bool) *api.Peer {
	n := &api.Peer{
		Conf: &api.PeerConf{NeighborAddress: numbered(local.Remote), PeerAsn: p.PeerASN, LocalAsn: p.MyASN,
			AuthPassword: string(p.Password)},
		Timers: &api.Timers{Config: &api.TimersConfig{
			HoldTime:               seconds(p.HoldTime),
			KeepaliveInterval:      seconds(p.KeepaliveTime),
			ConnectRetry:           seconds(p.ConnectTime),
			IdleHoldTimeAfterReset: 1,
		}},
		Transport: &api.Transport{RemotePort: uint32(p.Port)},
	}
	if local.Source.IsValid() {
		n.Transport.LocalAddress = numbered(local.Source)
	}
	switch {
	case p.TTLSecurity > 0:
		n.TtlSecurity = &api.TtlSecurity{Enabled: true, TtlMin: 256 - uint32(p.TTLSecurity)}
	case p.Multihop > 0:
		n.EbgpMultihop = &api.EbgpMultihop{Enabled: true, MultihopTtl: uint32(p.Multihop)}
	case p.Interface != "":
		n.TtlSecurity = &api.TtlSecurity{Enabled: true, TtlMin: 1}
	}
	graceful := p.RestartTime > 0
	for _, f := range apiFamilies {
		a := &api.AfiSafi{Config: &api.AfiSafiConfig{Family: f, Enabled: true}}
		if graceful {
			a.MpGracefulRestart = &api.MpGracefulRestart{Config: &api.MpGracefulRestartConfig{Enabled: true}}
		}
		n.AfiSafis = append(n.AfiSafis, a)
	}
	if graceful {
		n.GracefulRestart = &api.GracefulRestart{
			Enabled: true, RestartTime: uint32(seconds(p.RestartTime)), DeferralTime: uint32(seconds(deferral)),
			LocalRestarting: restarting,
		}
	}
	return n
}

func seconds(d time.Duration) uint64 { return uint64(d / time.Second) }

// whyUnconnected says, in words for a person, why a peer could not be connected to.
func whyUnconnected(p bgp.Peer, err error) string {
	at := p.At()
	var timeout net.Error
	var number syscall.Errno
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return p.NoAnswer()
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("%s refuses connections (TCP)", at)
	case errors.As(err, &number):
		return fmt.Sprintf("connecting to %s: %s", at, number)
	}
	return fmt.Sprintf("connecting to %s: %s", at, err)
}
