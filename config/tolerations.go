package config

import (
	"math"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	opExists = "Exists"
	opEqual  = "Equal"
)

// toleration reads a toleration and checks it as Kubernetes does.
func (r *reader) toleration(v value) Toleration {
	t := Toleration{Operator: opEqual}
	f := r.fields(v, aToleration)
	if v.Kind != yaml.MappingNode {
		return t
	}
	before := len(r.mistakes)
	if key, ok := f.get("key"); ok {
		if t.Key, ok = r.text(key, "the key of a taint"); ok && t.Key != "" {
			r.checkLabels(map[string]string{t.Key: ""}, map[string]value{t.Key: key})
		}
	}
	operator, hasOperator := f.get("operator")
	if hasOperator {
		t.Operator = r.oneOf(operator, opEqual, opExists, opEqual)
	}
	if clean := len(r.mistakes) == before; clean && t.Key == "" && t.Operator == opEqual {
		if !hasOperator {
			operator = v
		}
		r.rejectText(operator, "", "needs a key unless the operator is Exists", "add a key, or write operator: Exists")
	}
	if text, ok := f.get("value"); ok {
		t.Value = r.tolerationValue(text, t.Operator)
	}
	if effect, ok := f.get("effect"); ok {
		t.Effect = r.oneOf(effect, "", "NoSchedule", "PreferNoSchedule", "NoExecute")
	}
	if seconds, ok := f.get("toleration_seconds"); ok {
		t.Seconds = r.tolerationSeconds(seconds, t.Effect)
	}
	return t
}

func (r *reader) tolerationValue(v value, operator string) string {
	text, ok := r.text(v, "the value of a taint")
	switch {
	case !ok || text == "":
	case operator == opExists:
		r.reject(v, "has no meaning with operator Exists", "leave it out, or use operator: Equal")
	default:
		r.checkLabels(map[string]string{"value": text}, map[string]value{"value": v})
	}
	return text
}

func (r *reader) tolerationSeconds(v value, effect string) *int64 {
	n, ok := r.number(v, math.MinInt64, math.MaxInt64, "write a whole number of seconds")
	if !ok {
		return nil
	}
	if effect != "NoExecute" {
		r.reject(v, "has no meaning without effect NoExecute", "leave it out, or use effect: NoExecute")
	}
	return &n
}

// oneOf reads one of some words; "" stands for the default.
func (r *reader) oneOf(v value, byDefault string, words ...string) string {
	text, ok := r.text(v, "one of "+strings.Join(words, ", "))
	if !ok || text == "" {
		return byDefault
	}
	if slices.Contains(words, text) {
		return text
	}
	remedy := "use " + strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
	if near := nearest(text, words); near != "" {
		remedy = "did you mean " + near + "?"
	}
	r.reject(v, "is not known", remedy)
	return byDefault
}
