package config

import (
	"fmt"
	"math/big"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// boolean reads true or false.
func (r *reader) boolean(v value) (b, ok bool) {
	if v.Kind != yaml.ScalarNode || v.ShortTag() != "!!bool" {
		r.reject(v, "is not true or false", "write true or false, without quotes")
		return false, false
	}
	return strings.EqualFold(v.Value, "true"), true
}

// text reads a string. what it should be is said where it is none: "a name".
func (r *reader) text(v value, what string) (string, bool) {
	if v.Kind == yaml.ScalarNode && v.ShortTag() == "!!str" {
		return v.Value, true
	}
	if v.Kind == yaml.ScalarNode && !isNull(v) {
		remedy := fmt.Sprintf("write %s, in quotes", what)
		if !v.secret {
			remedy += fmt.Sprintf(": %q", v.Value)
		}
		r.reject(v, "is not text", remedy)
		return "", false
	}
	r.is(v, yaml.ScalarNode, what)
	return "", false
}

// number reads a whole number.
func (r *reader) number(v value, least, most int64, remedy string) (int64, bool) {
	if v.Kind != yaml.ScalarNode || v.ShortTag() != "!!int" && v.ShortTag() != "!!float" {
		if v.Kind == yaml.ScalarNode && isDigits(v.Value) {
			remedy = "write it without quotes"
		}
		r.reject(v, "is not a number", remedy)
		return 0, false
	}
	text := strings.TrimPrefix(v.Value, "+")
	n, ok := new(big.Int).SetString(text, 10)
	// Templates write large numbers as 4.2e+09.
	if f, _, err := big.ParseFloat(text, 10, 128, big.ToNearestEven); !ok && err == nil && f.IsInt() && f.MantExp(nil) < 128 {
		n, _ = f.Int(nil)
		ok = strings.ContainsAny(text, "eE")
	}
	if !ok {
		r.reject(v, "is not a whole number in digits", remedy)
		return 0, false
	}
	if n.Cmp(big.NewInt(least)) < 0 || n.Cmp(big.NewInt(most)) > 0 {
		r.reject(v, fmt.Sprintf("is not between %d and %d", least, most), remedy)
		return 0, false
	}
	return n.Int64(), true
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// duration reads a time span, written as a number with a unit.
func (r *reader) duration(v value, least, most time.Duration, remedy string) (time.Duration, bool) {
	if v.Kind == yaml.ScalarNode && v.ShortTag() == "!!int" && v.Value != "0" {
		r.reject(v, "has no unit", remedy)
		return 0, false
	}
	if v.Kind != yaml.ScalarNode || v.ShortTag() != "!!str" && v.ShortTag() != "!!int" {
		r.reject(v, "is not a time span", remedy)
		return 0, false
	}
	d, err := time.ParseDuration(v.Value)
	switch {
	case err != nil:
		r.reject(v, "is not a time span", remedy)
	case d < least || d > most:
		r.reject(v, fmt.Sprintf("is not between %s and %s", short(least), short(most)), remedy)
	default:
		return d, true
	}
	return 0, false
}

// short writes a time span without the units that are zero: 8760h, not 8760h0m0s.
func short(d time.Duration) string {
	text := d.String()
	if s, ok := strings.CutSuffix(text, "m0s"); ok {
		text = s + "m"
	}
	if s, ok := strings.CutSuffix(text, "h0m"); ok {
		text = s + "h"
	}
	return text
}
