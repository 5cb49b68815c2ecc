package members

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
)

// The encoding is tag, length, value, all numbers as unsigned LEB128 (encoding/binary's uvarint). A reader skips the
// tags that it does not know.

// errShort says that a message ends too early.
var errShort = errors.New("the message ends too early")

// reader takes values off the front of b until the first error, and gives zeros from then on.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
	r.b = nil
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		if r.err == nil {
			r.err = errShort
		}
		r.b = nil
		return 0
	}
	r.b = r.b[n:]
	return v
}

// bytes takes n bytes, which stay those of the message.
func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		if r.err == nil {
			r.err = errShort
		}
		r.b = nil
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

// field takes a tag and its value; ok is false at the end and after an error.
func (r *reader) field() (tag uint64, value []byte, ok bool) {
	if len(r.b) == 0 || r.err != nil {
		return 0, nil, false
	}
	tag = r.uvarint()
	value = r.bytes(r.uvarint())
	return tag, value, r.err == nil
}

func appendUvarint(b []byte, v uint64) []byte { return binary.AppendUvarint(b, v) }

func appendField[T string | []byte](b []byte, tag uint64, value T) []byte {
	b = appendUvarint(b, tag)
	b = appendUvarint(b, uint64(len(value)))
	return append(b, value...)
}

func appendNumber(b []byte, tag, v uint64) []byte {
	return appendField(b, tag, appendUvarint(nil, v))
}

// number is the value of a field that is one uvarint.
func number(value []byte) (uint64, error) {
	in := reader{b: value}
	v := in.uvarint()
	return v, in.err
}

// encodeSet writes addresses that are in order, each once: the count and the gaps from one to the next of the IPv4
// ones, then those of the IPv6 ones. Neighbours cost a byte each.
func encodeSet(addrs []netip.Addr) []byte {
	b := make([]byte, 0, 16+len(addrs))
	split := 0
	for split < len(addrs) && addrs[split].Is4() {
		split++
	}
	for _, family := range [][]netip.Addr{addrs[:split], addrs[split:]} {
		b = appendUvarint(b, uint64(len(family)))
		var next uint128 // the least that may come
		for _, a := range family {
			v := numberOf(a)
			b = v.minus(next).append(b)
			next = v.plus(uint128{0, 1})
		}
	}
	return b
}

// readSet is the inverse of encodeSet: at most maxHeld addresses, in order, each once.
func readSet(value []byte) ([]netip.Addr, error) {
	in := reader{b: value}
	var out []netip.Addr
	for _, is4 := range []bool{true, false} {
		count := in.uvarint()
		if count > uint64(len(in.b)) { // each takes a byte at least
			return nil, errShort
		}
		if count > uint64(maxHeld-len(out)) {
			return nil, fmt.Errorf("%d addresses: at most %d", uint64(len(out))+count, maxHeld)
		}
		if out == nil && count > 0 {
			out = make([]netip.Addr, 0, count)
		}
		var next uint128
		for i := range count {
			v, carry := next.sum(in.uvarint128())
			if carry || is4 && (v.hi != 0 || v.lo>>32 != 0) || i > 0 && next == (uint128{}) {
				in.fail("an address beyond the last one")
			}
			if in.err != nil {
				return nil, in.err
			}
			out = append(out, v.addr(is4))
			next = v.plus(uint128{0, 1})
		}
	}
	if in.err == nil && len(in.b) > 0 {
		in.fail("%d bytes after the last address", len(in.b))
	}
	return out, in.err
}

// uint128 is an address as a number.
type uint128 struct{ hi, lo uint64 }

func numberOf(a netip.Addr) uint128 {
	if a.Is4() {
		b := a.As4()
		return uint128{0, uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return uint128{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (v uint128) addr(is4 bool) netip.Addr {
	if is4 {
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(v.lo))))
	}
	b := binary.BigEndian.AppendUint64(nil, v.hi)
	return netip.AddrFrom16([16]byte(binary.BigEndian.AppendUint64(b, v.lo)))
}

func (v uint128) sum(w uint128) (uint128, bool) {
	lo, carry := bits.Add64(v.lo, w.lo, 0)
	hi, carry := bits.Add64(v.hi, w.hi, carry)
	return uint128{hi, lo}, carry != 0
}

func (v uint128) plus(w uint128) uint128 {
	s, _ := v.sum(w)
	return s
}

func (v uint128) minus(w uint128) uint128 {
	lo, borrow := bits.Sub64(v.lo, w.lo, 0)
	hi, _ := bits.Sub64(v.hi, w.hi, borrow)
	return uint128{hi, lo}
}

// append writes v as LEB128.
func (v uint128) append(b []byte) []byte {
	for v.hi != 0 || v.lo >= 0x80 {
		b = append(b, byte(v.lo)|0x80)
		v = uint128{v.hi >> 7, v.lo>>7 | v.hi<<57}
	}
	return append(b, byte(v.lo))
}

func (r *reader) uvarint128() uint128 {
	var v uint128
	for i, c := range r.b {
		shift := uint(7 * i)
		part := uint64(c & 0x7f)
		switch {
		case shift < 64:
			v.lo |= part << shift
			if shift > 57 {
				v.hi |= part >> (64 - shift)
			}
		case shift < 126 || shift == 126 && part < 4:
			v.hi |= part << (shift - 64)
		default:
			r.fail("a number over 128 bits")
			return uint128{}
		}
		if c < 0x80 {
			r.b = r.b[i+1:]
			return v
		}
	}
	if r.err == nil {
		r.err = errShort
	}
	r.b = nil
	return uint128{}
}
