package ipam

import (
	"cmp"
	"encoding/binary"
	"math/big"
	"math/bits"
	"net/netip"
)

// Family is an address family.
type Family uint8

// The two families; they index arrays of two.
const (
	IPv4 Family = iota
	IPv6
)

var families = [...]Family{IPv4, IPv6}

// String returns "IPv4" or "IPv6".
func (f Family) String() string {
	if f == IPv4 {
		return "IPv4"
	}
	return "IPv6"
}

func (f Family) other() Family { return 1 - f }

func (f Family) bits() int {
	if f == IPv4 {
		return 32
	}
	return 128
}

func familyOf(addr netip.Addr) Family {
	if addr.Is4() {
		return IPv4
	}
	return IPv6
}

// uint128 is an address as a number: without pointers, so that the free space costs the garbage collector nothing.
type uint128 struct{ hi, lo uint64 }

func fromAddr(addr netip.Addr) uint128 {
	if addr.Is4() {
		b := addr.As4()
		return uint128{0, uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := addr.As16()
	return uint128{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

// addr is the inverse of fromAddr.
func (f Family) addr(u uint128) netip.Addr {
	if f == IPv4 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(u.lo))
		return netip.AddrFrom4(b)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], u.hi)
	binary.BigEndian.PutUint64(b[8:], u.lo)
	return netip.AddrFrom16(b)
}

func (u uint128) less(v uint128) bool   { return u.hi < v.hi || u.hi == v.hi && u.lo < v.lo }
func (u uint128) or(v uint128) uint128  { return uint128{u.hi | v.hi, u.lo | v.lo} }
func (u uint128) and(v uint128) uint128 { return uint128{u.hi & v.hi, u.lo & v.lo} }
func (u uint128) xor(v uint128) uint128 { return uint128{u.hi ^ v.hi, u.lo ^ v.lo} }
func (u uint128) isZero() bool          { return u == uint128{} }

// next is u+1, and zero after the highest number.
func (u uint128) next() uint128 {
	lo, carry := bits.Add64(u.lo, 1, 0)
	return uint128{u.hi + carry, lo}
}

// prev is u-1, and the highest number before zero.
func (u uint128) prev() uint128 {
	lo, borrow := bits.Sub64(u.lo, 1, 0)
	return uint128{u.hi - borrow, lo}
}

// add is u+v, and sub is u-v, both modulo 2^128.
func (u uint128) add(v uint128) uint128 {
	lo, carry := bits.Add64(u.lo, v.lo, 0)
	return uint128{u.hi + v.hi + carry, lo}
}

func (u uint128) sub(v uint128) uint128 {
	lo, borrow := bits.Sub64(u.lo, v.lo, 0)
	return uint128{u.hi - v.hi - borrow, lo}
}

func (u uint128) compare(v uint128) int {
	return cmp.Or(cmp.Compare(u.hi, v.hi), cmp.Compare(u.lo, v.lo))
}

// mod is the remainder of u divided by n; n zero stands for 2^128.
func (u uint128) mod(n uint128) uint128 {
	if n.isZero() {
		return u
	}
	if n.hi == 0 {
		return uint128{0, bits.Rem64(u.hi, u.lo, n.lo)}
	}
	for u.hi != 0 && !u.less(n) { // long division; the quotient has at most 64 bits
		shift := bits.LeadingZeros64(n.hi) - bits.LeadingZeros64(u.hi)
		d := uint128{n.hi<<shift | n.lo>>1>>(63-shift), n.lo << shift}
		if u.less(d) {
			d = uint128{d.hi >> 1, d.lo>>1 | d.hi<<63}
		}
		u = u.sub(d)
	}
	return u
}

func (u uint128) bitLen() int {
	if u.hi != 0 {
		return 64 + bits.Len64(u.hi)
	}
	return bits.Len64(u.lo)
}

func (u uint128) big() *big.Int {
	n := new(big.Int).SetUint64(u.hi)
	return n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(u.lo))
}

// hostMask has the lowest n bits set.
func hostMask(n int) uint128 {
	if n >= 64 {
		return uint128{1<<(n-64) - 1, ^uint64(0)}
	}
	return uint128{0, 1<<n - 1}
}
