package config

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/kontena/network-lb/selector"
)

// nodeSelector reads the labels of node_selector, where "" means none.
func (r *reader) nodeSelector(v value) map[string]string {
	if v.Kind == yaml.ScalarNode && v.Value == "" {
		return nil
	}
	labels, at := r.labels(v)
	r.checkLabels(labels, at)
	if len(labels) == 0 {
		return nil
	}
	return labels
}

// checkLabels notes labels that nothing can have.
func (r *reader) checkLabels(labels map[string]string, at map[string]value) {
	_, err := selector.New(labels, nil)
	for _, e := range selectorErrors(err) {
		if e.Field == selector.FieldKey {
			r.rejectText(at[e.Key], fmt.Sprintf("%q", e.Key), e.Problem, e.Remedy)
		} else {
			r.reject(at[e.Key], e.Problem, e.Remedy)
		}
	}
}

// selectors reads a list of selectors, of which one has to match.
func (r *reader) selectors(f fields, key string) (all selector.Any) {
	v, ok := f.get(key)
	if !ok {
		return nil
	}
	for _, element := range r.list(v) {
		all = append(all, r.selector(element))
	}
	return all
}

// selector reads a selector with match_labels and match_expressions.
func (r *reader) selector(v value) selector.Selector {
	f := r.fields(v, aSelector)
	var labels map[string]string
	var requirements []selector.Requirement
	if m, ok := f.get("match_labels"); ok {
		var at map[string]value
		labels, at = r.labels(m)
		r.checkLabels(labels, at)
	}
	if e, ok := f.get("match_expressions"); ok {
		for _, element := range r.list(e) {
			requirements = append(requirements, r.requirement(element))
		}
	}
	s, _ := selector.New(labels, requirements) // its mistakes are noted already, each at its place
	return s
}

// requirement reads one element of match_expressions.
func (r *reader) requirement(v value) selector.Requirement {
	f := r.fields(v, anExpression)
	var q selector.Requirement
	wrong := f.in.Kind != yaml.MappingNode
	read := func(v value, to *string, what string) {
		text, ok := r.text(v, what)
		*to = text
		wrong = wrong || !ok
	}
	if key, ok := f.get("key"); ok {
		read(key, &q.Key, "a label key")
	}
	if operator, ok := f.get("operator"); ok {
		read(operator, &q.Operator, "an operator")
	}
	var elements []value
	if values, ok := f.get("values"); ok {
		elements = r.list(values)
		wrong = wrong || values.Kind != yaml.SequenceNode
		for _, element := range elements {
			var text string
			read(element, &text, "a label value")
			q.Values = append(q.Values, text)
		}
	}
	if wrong { // what is missing cannot be told from what could not be read
		return q
	}
	_, err := selector.New(nil, []selector.Requirement{q})
	for _, e := range selectorErrors(err) {
		field, there := f.get(e.Field)
		switch {
		case f.meant[e.Field]:
		case !there:
			at := v
			at.path = join(v.path, e.Field)
			r.rejectText(at, "", e.Problem, e.Remedy)
		case e.Index >= 0:
			r.reject(elements[e.Index], e.Problem, e.Remedy)
		default:
			r.reject(field, e.Problem, e.Remedy)
		}
	}
	return q
}

func selectorErrors(err error) []*selector.Error {
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return nil
	}
	var all []*selector.Error
	for _, one := range joined.Unwrap() {
		if e, ok := errors.AsType[*selector.Error](one); ok {
			all = append(all, e)
		}
	}
	return all
}
