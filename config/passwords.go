package config

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/kontena/network-lb/bgp"
)

const (
	passwordRemedy   = "write 1 to 80 bytes, or leave it out"
	secretRemedy     = "write the name of a Secret in the namespace of the installation"
	secretKeyRemedy  = "write the key of the Secret that the password stands under"
	secretNameRemedy = "use lower-case letters, digits, '-' and '.', 253 at most and a letter or digit at both ends of each part, as Secrets are named"
	secretKeysRemedy = "use letters, digits, '-', '_' and '.', 253 at most, as in the Secret"
)

var (
	dnsSubdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	keyOfSecret  = regexp.MustCompile(`^[-._a-zA-Z0-9]{1,253}$`)
	hint         = regexp.MustCompile(`(?is)(pass[-_]?word["']?[\s:=]).+`)
)

// SecretKey is a key of a Secret in the namespace of the installation.
type SecretKey struct{ Name, Key string }

// passwords reads the password of a peer, or where it is.
func (r *reader) passwords(f fields, p *Peer) {
	password, inline := f.get("password")
	secret, elsewhere := f.get("password_secret")
	if inline {
		p.Password = r.password(password)
	} else if v, there := f.known["password"]; there && v.Anchor != "" {
		r.rejectText(v, "", "has an anchor (&) and no value", "put it into quotes if it begins with &")
	}
	if elsewhere {
		p.PasswordSecret = r.secretKey(secret)
	}
	for _, v := range []value{password, secret} {
		if p.Interface != "" && v.Node != nil && !isNull(v) {
			v.secret = true
			r.reject(v, "is not possible with interface, whose session is between link-local addresses",
				"leave it out, or write the router's peer_address in place of interface")
		}
	}
	if inline && elsewhere {
		secret.secret = true
		r.reject(secret, "cannot be given together with password", "keep one of them")
	}
}

func (r *reader) password(v value) bgp.Password {
	v.secret = true
	text, ok := r.text(v, "a password")
	text = strings.TrimRight(text, "\r\n") // which a block scalar ends with, and no router's configuration can hold
	switch {
	case !ok:
	case text == "":
		r.reject(v, "is empty", passwordRemedy)
	case len(text) > bgp.MaxPassword:
		r.reject(v, fmt.Sprintf("has %d bytes, and TCP MD5 takes %d", len(text), bgp.MaxPassword), passwordRemedy)
	}
	return bgp.Password(text)
}

// secretKey reads password_secret. Someone may have written the password itself there, so it is not shown.
func (r *reader) secretKey(v value) (k SecretKey) {
	v.secret = true
	f := r.fields(v, aSecretKey)
	if name, ok := r.require(f, "name", secretRemedy); ok {
		if k.Name, ok = r.text(name, "the name of a Secret"); ok && (len(k.Name) > 253 || !dnsSubdomain.MatchString(k.Name)) {
			r.reject(name, "is not a DNS subdomain", secretNameRemedy)
		}
	}
	if key, ok := r.require(f, "key", secretKeyRemedy); ok {
		if k.Key, ok = r.text(key, "a key of the Secret"); ok && (!keyOfSecret.MatchString(k.Key) || k.Key == "." || strings.HasPrefix(k.Key, "..")) {
			r.reject(key, "is not a key that a Secret can have", secretKeysRemedy)
		}
	}
	return k
}

// conceal cuts what a text says after "password", as in "password:hunter2" where a blank was forgotten.
func conceal(text string) string { return hint.ReplaceAllString(text, "$1…") }
