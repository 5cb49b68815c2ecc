package speaker

import (
	"go.uber.org/zap"

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

// peers returns the configured peers with their passwords.
func (s *Speaker) peers(cfg config.Config) []announce.Peer {
	s.passwords.follow(cfg.Peers)
	var out []announce.Peer
	for _, p := range cfg.Peers {
		peer := announce.Peer{
			Peer:  bgp.Peer{Name: p.Name, Address: p.Address, PeerASN: p.PeerASN, MyASN: p.MyASN},
			Nodes: p.NodeSelectors,
		}
		var err error
		if peer.Password, err = s.passwords.of(p); err != nil && peer.Password == "" {
			peer.Problem = err.Error()
		}
		s.tellOnce(p.Name, err)
		out = append(out, peer)
	}
	return out
}

// tellOnce logs what is wrong with a peer's password when that is new.
func (s *Speaker) tellOnce(peer string, err error) {
	if err == nil {
		delete(s.told, peer)
	} else if s.told[peer] != err.Error() {
		s.told[peer] = err.Error()
		s.log.Warn("a peer's password", zap.String("peer", peer), zap.Error(err))
	}
}
