package members

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"
)

// What a message may hold.
const (
	maxName      = 253 // a DNS name
	maxHeld      = 100_000
	maxRegisters = 64
	maxRegister  = 256 << 10 // bytes
	maxSpeakers  = 4096
	maxInstance  = math.MaxInt64 // a time in nanoseconds
)

// format is the first byte of every message. Another one is for changes that no old speaker could follow; new fields
// do not need it.
const format = 1

// kind is the second byte of a message.
type kind byte

const (
	kindUpdate   kind = 1 + iota // what a speaker says of itself: the fields of a record
	kindHello                    // can you hear me? The fields of a hello
	kindAnswer                   // I can; the same fields
	kindExchange                 // everything known: records, each a field with the tag 1
)

// The fields of a record. The registers' tags follow.
const (
	tagNode     = 1 + iota
	tagInstance // see head
	tagVersion
	tagBase    // the version that a difference applies to
	tagHeld    // a set: all the addresses held; without it and tagBase only the head is told
	tagAdded   // sets: the difference
	tagRemoved //
	tagAge     // seconds since the speaker was last alive, for those that are not

	firstRegister = 16
)

// head says how new a state is. A speaker counts its versions; an instance is one run of its process, and of two the
// later has the higher number.
type head struct{ instance, version uint64 }

func (h head) less(than head) bool {
	return h.instance < than.instance || h.instance == than.instance && h.version < than.version
}

// content says what a record holds besides the head.
type content uint8

const (
	notice     content = iota // nothing: ask for it
	complete                  // everything
	difference                // what to do with the state of version base
)

// record is what travels of a speaker's state.
type record struct {
	node string
	head
	content
	base           uint64
	held           []netip.Addr // of a complete record
	added, removed []netip.Addr // of a difference
	registers      registers    // of a difference those that have changed
	age            time.Duration
}

// append writes the record's fields.
func (r record) append(b []byte) []byte {
	b = appendField(b, tagNode, r.node)
	b = appendNumber(b, tagInstance, r.instance)
	b = appendNumber(b, tagVersion, r.version)
	if r.age > 0 {
		b = appendNumber(b, tagAge, uint64(r.age/time.Second))
	}
	switch r.content {
	case complete:
		b = appendField(b, tagHeld, encodeSet(r.held))
	case difference:
		b = appendNumber(b, tagBase, r.base)
		if len(r.added) > 0 {
			b = appendField(b, tagAdded, encodeSet(r.added))
		}
		if len(r.removed) > 0 {
			b = appendField(b, tagRemoved, encodeSet(r.removed))
		}
	}
	for _, tag := range sortedKeys(r.registers) {
		b = appendField(b, tag, r.registers[tag])
	}
	return b
}

// readHead takes from a record only whose it is and how new.
func readHead(b []byte) (node string, h head, err error) {
	in := reader{b: b}
	for {
		tag, value, ok := in.field()
		if !ok {
			return node, h, in.err
		}
		switch tag {
		case tagNode:
			node = string(value)
		case tagInstance:
			h.instance, err = number(value)
		case tagVersion:
			h.version, err = number(value)
		}
		if err != nil {
			return "", head{}, err
		}
	}
}

// readRecord is the inverse of append. The result shares nothing with b.
func readRecord(b []byte) (record, error) {
	r := record{registers: registers{}}
	in := reader{b: b}
	based, full := false, false
	for {
		tag, value, ok := in.field()
		if !ok {
			break
		}
		based, full = based || tag == tagBase, full || tag == tagHeld
		if err := r.read(tag, value); err != nil {
			return record{}, fmt.Errorf("field %d of %q: %w", tag, r.node, err)
		}
	}
	switch {
	case in.err != nil:
		return record{}, in.err
	case r.node == "":
		return record{}, errors.New("a state of nobody")
	case based && full:
		return record{}, fmt.Errorf("the state of %q is both complete and a difference", r.node)
	case based && r.base >= r.version:
		return record{}, fmt.Errorf("version %d of %q as a difference to %d", r.version, r.node, r.base)
	case based:
		r.content = difference
	case full:
		r.content = complete
	default:
		r.registers = registers{}
	}
	if _, _, err := r.registers.state(); err != nil {
		return record{}, fmt.Errorf("the state of %q: %w", r.node, err)
	}
	return r, nil
}

func (r *record) read(tag uint64, value []byte) (err error) {
	switch tag {
	case tagNode:
		if len(value) > maxName {
			return fmt.Errorf("%d bytes: at most %d", len(value), maxName)
		}
		r.node = string(value)
	case tagInstance:
		if r.instance, err = number(value); r.instance > maxInstance {
			return fmt.Errorf("run %d: at most %d", r.instance, maxInstance)
		}
	case tagVersion:
		r.version, err = number(value)
	case tagBase:
		r.base, err = number(value)
	case tagHeld:
		r.held, err = readSet(value)
	case tagAdded:
		r.added, err = readSet(value)
	case tagRemoved:
		r.removed, err = readSet(value)
	case tagAge:
		var seconds uint64
		seconds, err = number(value)
		r.age = time.Duration(min(seconds, 1<<32)) * time.Second
	default:
		if tag < firstRegister {
			return nil
		}
		if _, known := r.registers[tag]; len(value) > maxRegister || !known && len(r.registers) == maxRegisters {
			return errors.New("too much")
		}
		r.registers[tag] = string(value)
	}
	return err
}

// hello asks whether a speaker is heard, and how to answer.
type hello struct {
	node string
	addr netip.AddrPort
}

func (h hello) append(b []byte) []byte {
	b = appendField(b, 1, h.node)
	addr, _ := h.addr.MarshalBinary() // never fails
	return appendField(b, 2, addr)
}

func readHello(b []byte) (h hello, err error) {
	in := reader{b: b}
	for {
		tag, value, ok := in.field()
		if !ok {
			break
		}
		switch tag {
		case 1:
			h.node = string(value)
		case 2:
			if err := h.addr.UnmarshalBinary(value); err != nil {
				return hello{}, err
			}
		}
	}
	if in.err == nil && (h.node == "" || len(h.node) > maxName || !h.addr.IsValid()) {
		in.fail("a greeting of %q at %v", h.node, h.addr)
	}
	return h, in.err
}

// open takes the first two bytes off a message.
func open(b []byte) (kind, []byte, error) {
	if len(b) < 2 {
		return 0, nil, errShort
	}
	if b[0] != format {
		return 0, nil, fmt.Errorf("format %d: only %d is known", b[0], format)
	}
	return kind(b[1]), b[2:], nil
}

// message begins a message.
func message(k kind) []byte { return []byte{format, byte(k)} }
