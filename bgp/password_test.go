package bgp

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestPasswordShowsItselfToNobody(t *testing.T) {
	const secret = "s3cret"
	p := peer("a", "10.0.0.1")
	p.Password = secret
	status := PeerStatus{Peer: p}
	shown := map[string]string{
		"error":  fmt.Errorf("peer %v: %w", p, fmt.Errorf("password %s", p.Password)).Error(),
		"String": p.Password.String(), "GoString": p.Password.GoString(),
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%c", "%U", "%t", "%80s", "%T"} {
		shown[verb] = fmt.Sprintf(verb, p.Password)
		shown[verb+" in a struct"] = fmt.Sprintf(verb, status)
		shown[verb+" by pointer"] = fmt.Sprintf(verb, &p)
		shown[verb+" in a map"] = fmt.Sprintf(verb, map[Password][]any{secret: {p.Password}})
	}
	for _, v := range []any{p.Password, &p.Password, status, map[string]Password{"a": secret}} {
		out, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		shown[fmt.Sprintf("JSON of %T", v)] = string(out)
	}
	for what, encoder := range map[string]zapcore.Encoder{
		"zap's console": zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()),
		"zap's JSON":    zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()),
	} {
		out, err := encoder.EncodeEntry(zapcore.Entry{}, []zapcore.Field{
			zap.Any("peer", p), zap.Stringer("password", p.Password), zap.Reflect("status", status)})
		if err != nil {
			t.Fatal(err)
		}
		shown[what] = out.String()
	}
	hex, upper := fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret)
	for what, text := range shown {
		for _, form := range []string{secret, hex, upper, "73 33 63", "115 51 99"} {
			if strings.Contains(text, form) {
				t.Errorf("%s shows %s", what, text)
			}
		}
	}
	if got := fmt.Sprintf("%v %q %#v", p.Password, p.Password, p.Password); got != `(hidden) "(hidden)" bgp.Password("(hidden)")` {
		t.Error(got)
	}
	if got := fmt.Sprintf("%v %q", Password(""), Password("")); got != ` ""` {
		t.Error(got)
	}
	if string(p.Password) != secret {
		t.Error("the password is lost")
	}
}

func TestPasswordOfAPeer(t *testing.T) {
	p := peer("a", "10.0.0.1")
	for _, good := range []int{0, 1, 80} {
		p.Password = Password(strings.Repeat("x", good))
		if err := p.Validate(); err != nil {
			t.Errorf("%d bytes: %v", good, err)
		}
	}
	p.Password = Password(strings.Repeat("ä", 41)) // 82 bytes, fewer characters
	if err := p.Validate(); err == nil || err.Error() != "password: 82 bytes long: want at most 80" {
		t.Errorf("%v", err)
	}
	p.Password, p.Address = "x", netip.MustParseAddr("fe80::1%eth0")
	const want = "password: not possible with the link-local address"
	if err := p.Validate(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v", err)
	}
	p.Password = ""
	if err := p.Validate(); err == nil || strings.Contains(err.Error(), "password") {
		t.Errorf("%v", err)
	}
	a, b := peer("a", "10.0.0.1"), peer("a", "10.0.0.1")
	a.Password, b.Password = "x", "y"
	if a == b || a.session() != b.session() {
		t.Error("a password is part of a peer, not of what a session is bound to")
	}
}
