package layer2

import (
	"bytes"
	"crypto/sha256"
	"net/netip"
)

// Owner is the node that comes first for an address: the one with the smallest SHA-256 of node + "#" + address,
// the address in its canonical text form. It is MetalLB's order, so a cluster that migrates keeps its owners. The
// order of nodes does not matter; without nodes the result is "".
func Owner(addr netip.Addr, nodes []string) string {
	suffix := addr.Unmap().AppendTo(append(make([]byte, 0, 64), '#'))
	var (
		owner string
		least [sha256.Size]byte
	)
	text := make([]byte, 0, 320) // enough for a node's name, which has 253 bytes at most
	for i, node := range nodes {
		text = append(append(text[:0], node...), suffix...)
		sum := sha256.Sum256(text)
		if i == 0 || bytes.Compare(sum[:], least[:]) < 0 {
			owner, least = node, sum
		}
	}
	return owner
}
