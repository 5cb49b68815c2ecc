package bgp

import (
	"encoding"
	"fmt"
	"io"
)

// MaxPassword is the longest password, in bytes (Linux: TCP_MD5SIG_MAXKEYLEN).
const MaxPassword = 80

// Password is the key of a session's TCP MD5 signatures (RFC 2385): 1 to 80 bytes of any kind; "" is no
// signatures. It shows itself to nobody, whether printed, logged or marshalled; string(p) is the password.
// What prints or marshals it gets only whether there is one. (Two things show it all the same: package fmt in a
// struct's unexported field, whose methods it cannot call, and package json as the key of a map.)
type Password string

var (
	_ fmt.Formatter          = Password("")
	_ fmt.Stringer           = Password("")
	_ fmt.GoStringer         = Password("")
	_ encoding.TextMarshaler = Password("")
)

// String is "" or "(hidden)".
func (p Password) String() string {
	if p == "" {
		return ""
	}
	return "(hidden)"
}

// GoString is what String is, for %#v.
func (p Password) GoString() string { return fmt.Sprintf("bgp.Password(%q)", p.String()) }

// Format hides the password from all verbs, also from those that do not ask String.
func (p Password) Format(f fmt.State, verb rune) {
	text := p.String()
	switch {
	case verb == 'v' && f.Flag('#'):
		text = p.GoString()
	case verb == 'q':
		text = fmt.Sprintf("%q", text)
	}
	_, _ = io.WriteString(f, text)
}

// MarshalText hides the password from JSON and YAML.
func (p Password) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Validate says what is wrong with the password, without showing it.
func (p Password) Validate() error {
	if len(p) > MaxPassword {
		return fmt.Errorf("%d bytes long: want at most %d", len(p), MaxPassword)
	}
	return nil
}
