package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Error is one mistake in a document.
type Error struct {
	Path         string // address_pools[0].addresses[1], spelt as in the document; "": the document as a whole
	Line, Column int    // from 1; 0: unknown
	Value        string // what is there, as text; empty where something is missing
	Problem      string // what is wrong with it: "is not a protocol"
	Remedy       string // what would be right: "use layer2, bgp or [layer2, bgp]"
}

// Error says it all in one sentence: address_pools[0].protocol (line 3): "ospf" is not a protocol; use layer2, …
func (e *Error) Error() string {
	text := e.Path
	if text == "" {
		text = "the document"
	}
	if e.Line > 0 {
		text += fmt.Sprintf(" (line %d)", e.Line)
	}
	if e.Value != "" {
		text += ": " + e.Value
	}
	return text + " " + e.Problem + "; " + e.Remedy
}

// Warning is something in a valid document that may not mean what was intended. Its fields are those of Error.
type Warning Error

// String says it in one sentence, like Error.
func (w Warning) String() string { return (*Error)(&w).Error() }

// Mistakes returns the mistakes that an error of Parse consists of.
func Mistakes(err error) []*Error {
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return nil
	}
	var mistakes []*Error
	for _, one := range joined.Unwrap() {
		if e, ok := errors.AsType[*Error](one); ok {
			mistakes = append(mistakes, e)
		}
	}
	return mistakes
}

// result returns what was found, in the order of the document.
func (r *reader) result() ([]Warning, error) {
	if r.tooLarge() {
		r.mistakes = r.mistakes[:1]
	}
	slices.SortStableFunc(r.mistakes, inOrder)
	slices.SortStableFunc(r.warnings, func(a, b Warning) int { return inOrder((*Error)(&a), (*Error)(&b)) })
	errs := make([]error, len(r.mistakes))
	for i, e := range r.mistakes {
		errs[i] = e
	}
	return r.warnings, errors.Join(errs...)
}

func inOrder(a, b *Error) int {
	return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}

// reject notes that a value is wrong.
func (r *reader) reject(v value, problem, remedy string) {
	r.mistakes = append(r.mistakes, v.mistake(problem, remedy))
}

// rejectText is reject for a value of which only a part, or another form, is to be shown.
func (r *reader) rejectText(v value, text, problem, remedy string) {
	e := v.mistake(problem, remedy)
	e.Value = text
	r.mistakes = append(r.mistakes, e)
}

// missing notes that a map lacks a key.
func (r *reader) missing(in value, key, remedy string) {
	e := in.mistake("is missing", remedy)
	e.Path, e.Value = join(in.path, key), ""
	r.mistakes = append(r.mistakes, e)
}

func (r *reader) warn(v value, problem, remedy string) {
	r.warnings = append(r.warnings, Warning(*v.mistake(problem, remedy)))
}

func (v value) mistake(problem, remedy string) *Error {
	return &Error{v.path, v.Line, v.Column, v.text(), problem, remedy}
}
