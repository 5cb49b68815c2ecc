package speaker

import (
	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/config"
)

// pools returns the configured pools as far as announcing is concerned.
func pools(cfg config.Config) []announce.Pool {
	var out []announce.Pool
	for _, p := range cfg.Pools {
		out = append(out, announce.Pool{Name: p.Name, Addresses: p, Layer2: p.Layer2, BGP: p.BGP})
	}
	return out
}

func peers(cfg config.Config) []announce.Peer {
	var out []announce.Peer
	for _, p := range cfg.Peers {
		out = append(out, announce.Peer{
			Peer:  bgp.Peer{Name: p.Name, Address: p.Address, PeerASN: p.PeerASN, MyASN: p.MyASN},
			Nodes: p.NodeSelectors,
		})
	}
	return out
}
