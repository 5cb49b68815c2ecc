package speaker

import (
	"maps"
	"net/netip"

	"go.uber.org/zap"

	"github.com/kontena/network-lb/announce"
	"github.com/kontena/network-lb/bgp"
	"github.com/kontena/network-lb/config"
)

// pools returns the configured pools as far as announcing is concerned.
func pools(cfg config.Config) []announce.Pool {
	var out []announce.Pool
	for _, p := range cfg.Pools {
		out = append(out, announce.Pool{
			Name: p.Name, Addresses: p, Layer2: p.Layer2, BGP: p.BGP, Advertisements: p.Advertisements, Interfaces: p.Interfaces,
			AnswerPing: p.AnswerPing, Nodes: p.NodeSelectors,
		})
	}
	return out
}

// session is what a BGP session is known by, whatever its password.
type session struct {
	address        netip.Addr
	iface          string
	port           uint16
	external       bool
	peerASN, myASN uint32
}

func sessionWith(p bgp.Peer) session {
	return session{p.Address, p.Interface, p.WithDefaults().Port, p.External, p.PeerASN, p.MyASN}
}

// peers returns the configured peers with their passwords. One that is set already, and whose password cannot be read,
// stays as it is. labels are the node's: what is wrong with the peers of other nodes is said there.
func (s *Speaker) peers(cfg config.Config, labels map[string]string) []announce.Peer {
	s.passwords.follow(cfg.Peers)
	var out []announce.Peer
	named, problems := map[session]bool{}, map[string]string{}
	for _, p := range cfg.Peers {
		peer := announce.Peer{Peer: p.Peer, Nodes: p.NodeSelectors}
		at := sessionWith(peer.Peer)
		named[at] = true
		var err error
		if peer.Password, err = s.passwords.of(p); err != nil {
			problem := err.Error()
			last, was := s.set[at]
			if was {
				peer.Password = last
			}
			if was || peer.Password != "" {
				problem += "; until that is put right the session keeps the password that it has"
			} else {
				peer.Problem = problem
			}
			if p.NodeSelectors.Matches(labels) {
				problems[peer.Title()] = problem
			}
		}
		out = append(out, peer)
	}
	maps.DeleteFunc(s.set, func(at session, _ bgp.Password) bool { return !named[at] })
	s.tellProblems(problems)
	return out
}

// tellProblems takes over what is wrong with the passwords, by the peers' titles, and logs what is new.
func (s *Speaker) tellProblems(problems map[string]string) {
	s.mu.Lock()
	before := s.passwordProblems
	s.passwordProblems = problems
	s.mu.Unlock()
	for peer, problem := range problems {
		if before[peer] != problem {
			s.log.Warn("a peer's password", zap.String("peer", peer), zap.String("error", problem))
		}
	}
}
