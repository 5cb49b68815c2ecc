// Package selector matches Kubernetes label selectors (matchLabels and matchExpressions, as in
// metav1.LabelSelector) against plain label maps, without the Kubernetes API machinery around them.
package selector

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// The operators of a Requirement, spelt as Kubernetes spells them.
const (
	In           = "In"           // the label exists and its value is one of Values
	NotIn        = "NotIn"        // the label does not exist, or its value is none of Values
	Exists       = "Exists"       // the label exists; Values is empty
	DoesNotExist = "DoesNotExist" // the label does not exist; Values is empty
)

// Requirement is one element of matchExpressions.
type Requirement struct {
	Key      string   // a label key, with or without a prefix: "kubernetes.io/hostname"
	Operator string   // In, NotIn, Exists or DoesNotExist
	Values   []string // at least one for In and NotIn, none for the others
}

// Selector is an immutable label selector: all of its labels and requirements must hold. The zero value matches
// every map. Selectors are compared with Equal.
type Selector struct {
	_        [0]func() // not comparable with ==, which would compare what the text was compiled to
	text     string
	compiled labels.Selector // nil: everything
}

// New builds a selector. matchLabels and exprs are ANDed; both may be empty, and the selector then matches every map.
// The error joins an *Error for every mistake found, labels (in the order of their keys) before expressions.
func New(matchLabels map[string]string, exprs []Requirement) (Selector, error) {
	var errs []error
	parts := make(map[string]labels.Requirement, len(matchLabels)+len(exprs))
	add := func(index int, r Requirement) {
		if mistakes := check(index, r); len(mistakes) > 0 {
			errs = append(errs, mistakes...)
			return
		}
		compiled, err := compile(r)
		if err != nil {
			errs = append(errs, err)
			return
		}
		parts[compiled.String()] = *compiled
	}
	for _, key := range slices.Sorted(maps.Keys(matchLabels)) {
		add(-1, Requirement{Key: key, Operator: In, Values: []string{matchLabels[key]}})
	}
	for i, r := range exprs {
		add(i, r)
	}
	if err := errors.Join(errs...); err != nil {
		return Selector{}, err
	}
	return assemble(parts), nil
}

// compile translates a checked requirement, choosing the same form for everything that means the same.
func compile(r Requirement) (*labels.Requirement, error) {
	values := slices.Compact(slices.Sorted(slices.Values(r.Values)))
	switch {
	case r.Operator == In && len(values) == 1:
		return labels.NewRequirement(r.Key, "=", values)
	case r.Operator == NotIn && len(values) == 1:
		return labels.NewRequirement(r.Key, "!=", values)
	case r.Operator == In:
		return labels.NewRequirement(r.Key, "in", values)
	case r.Operator == NotIn:
		return labels.NewRequirement(r.Key, "notin", values)
	case r.Operator == Exists:
		return labels.NewRequirement(r.Key, "exists", nil)
	default:
		return labels.NewRequirement(r.Key, "!", nil)
	}
}

// assemble orders the requirements by their text, so that equal selectors have equal text.
func assemble(parts map[string]labels.Requirement) Selector {
	if len(parts) == 0 {
		return Selector{}
	}
	texts := slices.Sorted(maps.Keys(parts))
	requirements := make([]labels.Requirement, len(texts))
	for i, text := range texts {
		requirements[i] = parts[text]
	}
	return Selector{text: strings.Join(texts, ","), compiled: labels.NewSelector().Add(requirements...)}
}

// Matches reports whether every part of the selector holds for the labels.
func (s Selector) Matches(m map[string]string) bool {
	return s.compiled == nil || s.compiled.Matches(labels.Set(m))
}

// Pins reports whether the selector demands one certain value of a label: of labels that are not the same it matches at
// most one.
func (s Selector) Pins(key string) bool {
	if s.compiled == nil {
		return false
	}
	requirements, _ := s.compiled.Requirements()
	return slices.ContainsFunc(requirements, func(r labels.Requirement) bool {
		return r.Key() == key && (r.Operator() == selection.Equals || r.Operator() == selection.In) && r.Values().Len() == 1
	})
}

// String returns the selector in the text form of kubectl's --selector, in a canonical order: selectors made of the
// same requirements have the same text. The selector that matches everything is the empty string.
func (s Selector) String() string { return s.text }

// Equal reports whether both selectors are made of the same requirements, in whatever order and spelling.
func (s Selector) Equal(other Selector) bool { return s.text == other.text }

// Any is an ORed list of selectors. The empty list matches every map.
type Any []Selector

// Matches reports whether one of the selectors matches, or there is none.
func (a Any) Matches(m map[string]string) bool {
	if len(a) == 0 {
		return true
	}
	return slices.ContainsFunc(a, func(s Selector) bool { return s.Matches(m) })
}
