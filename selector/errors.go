package selector

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
)

// The parts of a Requirement that an Error can be about.
const (
	FieldKey      = "key"
	FieldOperator = "operator"
	FieldValues   = "values"
)

// Error is one mistake in what New was given.
type Error struct {
	Expression int    // the index of the expression; -1: the mistake is in the labels
	Key        string // the label key it is about
	Field      string // FieldKey, FieldOperator or FieldValues
	Index      int    // the index in Values; -1: the field as a whole
	Value      string // what was given there; empty where the field is missing
	Problem    string // what is wrong: "is not a label key"
	Remedy     string // what would be right: "use In"
}

// Error says where the mistake is, what was given, what is wrong and what would be right.
func (e *Error) Error() string {
	where := fmt.Sprintf("label %q", e.Key)
	if e.Expression >= 0 {
		where = fmt.Sprintf("expression %d: %s", e.Expression, e.Field)
		if e.Index >= 0 {
			where += fmt.Sprintf("[%d]", e.Index)
		}
		if e.Value != "" {
			where += fmt.Sprintf(" %q", e.Value)
		}
	} else if e.Field == FieldValues {
		where += fmt.Sprintf(": value %q", e.Value)
	}
	return where + " " + e.Problem + "; " + e.Remedy
}

const (
	keyRemedy = "use letters, digits, '-', '_' and '.', 63 at most and a letter or digit at both ends, " +
		"optionally after a DNS prefix and '/'"
	valueRemedy    = "use letters, digits, '-', '_' and '.', 63 at most and a letter or digit at both ends, or nothing"
	operatorRemedy = "use In, NotIn, Exists or DoesNotExist"
)

// check returns an *Error for every mistake in a requirement; index is its place, -1 for a label.
func check(index int, r Requirement) []error {
	var errs []error
	mistake := func(field string, at int, value, problem, remedy string) {
		errs = append(errs, &Error{
			Expression: index, Key: r.Key, Field: field, Index: at,
			Value: value, Problem: problem, Remedy: remedy,
		})
	}
	if r.Key == "" {
		mistake(FieldKey, -1, "", "is missing", "name the label to look at")
	} else if _, err := labels.NewRequirement(r.Key, "exists", nil); err != nil {
		mistake(FieldKey, -1, r.Key, "is not a label key", keyRemedy)
	}
	switch r.Operator {
	case In, NotIn:
		if len(r.Values) == 0 {
			mistake(FieldValues, -1, "", "are missing for operator "+r.Operator, "list at least one value")
		}
		if validValues(r.Values...) {
			break
		}
		for i, value := range r.Values {
			if !validValues(value) {
				mistake(FieldValues, i, value, "is not a label value", valueRemedy)
			}
		}
	case Exists, DoesNotExist:
		if len(r.Values) > 0 {
			mistake(FieldValues, -1, strings.Join(r.Values, ", "), "cannot be given for operator "+r.Operator,
				"leave values out, or use "+counterpart(r.Operator))
		}
	case "":
		mistake(FieldOperator, -1, "", "is missing", operatorRemedy)
	default:
		mistake(FieldOperator, -1, r.Operator, "is not known", operatorHint(r.Operator))
	}
	return errs
}

func validValues(values ...string) bool {
	if len(values) == 0 {
		return true
	}
	_, err := labels.NewRequirement("key", "in", values)
	return err == nil
}

// counterpart is the operator that somebody who gave values to Exists or DoesNotExist may have meant.
func counterpart(operator string) string {
	if operator == Exists {
		return In
	}
	return NotIn
}

// operatorHint names the operator that was probably meant, or all of them.
func operatorHint(operator string) string {
	folded := strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(operator))
	for _, known := range []string{In, NotIn, Exists, DoesNotExist} {
		if strings.EqualFold(folded, known) {
			return "use " + known
		}
	}
	switch folded {
	case "=", "==", "equals", "equal":
		return "use " + In
	case "!=", "notequals", "notequal":
		return "use " + NotIn
	case "!", "notexists":
		return "use " + DoesNotExist
	default:
		return operatorRemedy
	}
}
