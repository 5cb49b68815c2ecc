package bfd

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"
)

var golden = []struct {
	name, octets string
	packet       Packet
}{
	{"up with poll", "20e00318" + "00000001" + "80000002" + "000493e0" + "000f4240" + "00000000",
		Packet{State: Up, Poll: true, Multiplier: 3, MyDiscriminator: 1, YourDiscriminator: 0x80000002, DesiredMinTx: 300 * time.Millisecond, RequiredMinRx: time.Second}},
	{"down, expired", "21400518" + "0a0b0c0d" + "00000000" + "000f4240" + "00002710" + "0000c350",
		Packet{Diagnostic: DetectionTimeExpired, State: Down, Multiplier: 5, MyDiscriminator: 0x0a0b0c0d, DesiredMinTx: time.Second,
			RequiredMinRx: 10 * time.Millisecond, RequiredMinEchoRx: 50 * time.Millisecond}},
	{"every other bit", "279aff18" + "ffffffff" + "00000001" + "ffffffff" + "00000000" + "00000000",
		Packet{Diagnostic: AdministrativelyDown, State: Init, Final: true, ControlPlaneIndependent: true, Demand: true, Multiplier: 255,
			MyDiscriminator: 0xffffffff, YourDiscriminator: 1, DesiredMinTx: 4294967295 * time.Microsecond}},
}

func TestWireFormat(t *testing.T) {
	for _, tt := range golden {
		t.Run(tt.name, func(t *testing.T) {
			octets, _ := hex.DecodeString(tt.octets)
			if got, _ := tt.packet.AppendBinary(nil); !bytes.Equal(got, octets) {
				t.Errorf("AppendBinary = %x, want %s", got, tt.octets)
			}
			if got, err := Parse(append(octets, 0, 0)); err != nil || got != tt.packet {
				t.Errorf("Parse = %+v, %v; want %+v", got, err, tt.packet)
			}
		})
	}
	long, _ := Packet{State: Up, Multiplier: 1, MyDiscriminator: 1, YourDiscriminator: 1, DesiredMinTx: 2 * time.Hour, RequiredMinRx: -1}.AppendBinary(nil)
	if p, err := Parse(long); err != nil || p.DesiredMinTx != 4294967295*time.Microsecond || p.RequiredMinRx != 0 {
		t.Errorf("intervals out of range become %v and %v (%v), want the longest and 0", p.DesiredMinTx, p.RequiredMinRx, err)
	}
}

func TestMalformedPacketsAreRefused(t *testing.T) {
	octets, _ := hex.DecodeString(golden[0].octets)
	tests := []struct {
		name, want string
		change     func(b []byte) []byte
	}{
		{"empty", "0 octets", func([]byte) []byte { return nil }},
		{"short", "23 octets", func(b []byte) []byte { return b[:23] }},
		{"version 0", "version 0", func(b []byte) []byte { b[0] = 0; return b }},
		{"length too small", "length field 23", func(b []byte) []byte { b[3] = 23; return b }},
		{"length beyond the payload", "length field 25", func(b []byte) []byte { b[3] = 25; return b }},
		{"authenticated", "authenticated", func(b []byte) []byte { b[1] |= 4; return b }},
		{"multipoint", "multipoint", func(b []byte) []byte { b[1] |= 1; return b }},
		{"multiplier 0", "multiplier 0", func(b []byte) []byte { b[2] = 0; return b }},
		{"no discriminator", "my discriminator 0", func(b []byte) []byte { clear(b[4:8]); return b }},
		{"up with nobody", "your discriminator 0 in state Up", func(b []byte) []byte { clear(b[8:12]); return b }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse(tt.change(bytes.Clone(octets)))
			if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Parse: %v, want one with %q", err, tt.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, tt := range golden {
		octets, _ := hex.DecodeString(tt.octets)
		f.Add(octets)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(b)
		if err != nil {
			if p != (Packet{}) || !errors.Is(err, ErrMalformed) {
				t.Fatalf("Parse = %+v, %v", p, err)
			}
			return
		}
		out, _ := p.AppendBinary(nil)
		if again, err := Parse(out); err != nil || again != p {
			t.Fatalf("%x is %+v, which is written as %x, which is %+v, %v", b, p, out, again, err)
		}
		want := append([]byte(nil), b[:packetLength]...)
		want[3] = packetLength // a longer packet has nothing after it that we know
		if !bytes.Equal(out, want) {
			t.Fatalf("%x is written as %x", want, out)
		}
	})
}
