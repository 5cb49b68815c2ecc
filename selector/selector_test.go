package selector

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestMatches(t *testing.T) {
	node := map[string]string{"kubernetes.io/hostname": "worker-1", "rack": "a", "empty": ""}
	for name, tc := range map[string]struct {
		labels map[string]string
		exprs  []Requirement
		want   bool
	}{
		"nothing asked":           {want: true},
		"label":                   {labels: map[string]string{"rack": "a"}, want: true},
		"other label value":       {labels: map[string]string{"rack": "b"}},
		"missing label":           {labels: map[string]string{"zone": "a"}},
		"empty label value":       {labels: map[string]string{"empty": ""}, want: true},
		"empty is not missing":    {labels: map[string]string{"zone": ""}},
		"In":                      {exprs: []Requirement{{"kubernetes.io/hostname", In, []string{"worker-0", "worker-1"}}}, want: true},
		"In, none":                {exprs: []Requirement{{"rack", In, []string{"b", "c"}}}},
		"In, missing":             {exprs: []Requirement{{"zone", In, []string{"b"}}}},
		"NotIn":                   {exprs: []Requirement{{"rack", NotIn, []string{"b"}}}, want: true},
		"NotIn, missing":          {exprs: []Requirement{{"zone", NotIn, []string{"b"}}}, want: true},
		"NotIn, is":               {exprs: []Requirement{{"rack", NotIn, []string{"b", "a"}}}},
		"Exists":                  {exprs: []Requirement{{"empty", Exists, nil}}, want: true},
		"Exists, missing":         {exprs: []Requirement{{"zone", Exists, nil}}},
		"DoesNotExist":            {exprs: []Requirement{{"zone", DoesNotExist, nil}}, want: true},
		"DoesNotExist, but does":  {exprs: []Requirement{{"empty", DoesNotExist, nil}}},
		"all must hold":           {labels: map[string]string{"rack": "a"}, exprs: []Requirement{{"zone", Exists, nil}}},
		"all hold":                {labels: map[string]string{"rack": "a"}, exprs: []Requirement{{"zone", DoesNotExist, nil}}, want: true},
		"one key asked for twice": {exprs: []Requirement{{"rack", Exists, nil}, {"rack", NotIn, []string{"a"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := New(tc.labels, tc.exprs)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.Matches(node); got != tc.want {
				t.Errorf("%q matches %v: %v, want %v", s, node, got, tc.want)
			}
		})
	}
}

func TestZeroValuesMatchEverything(t *testing.T) {
	for _, m := range []map[string]string{nil, {}, {"a": "b"}} {
		if !(Selector{}).Matches(m) || !Any(nil).Matches(m) || !(Any{}).Matches(m) {
			t.Errorf("the zero values do not match %v", m)
		}
	}
	s, err := New(map[string]string{}, []Requirement{})
	if err != nil || !s.Equal(Selector{}) || s.String() != "" {
		t.Errorf("New of nothing: %q, %v; want the zero value", s, err)
	}
}

func TestAny(t *testing.T) {
	a, _ := New(map[string]string{"rack": "a"}, nil)
	b, _ := New(map[string]string{"rack": "b"}, nil)
	either := Any{a, b}
	for rack, want := range map[string]bool{"a": true, "b": true, "c": false} {
		if got := either.Matches(map[string]string{"rack": rack}); got != want {
			t.Errorf("rack %s: %v, want %v", rack, got, want)
		}
	}
}

func TestCanonicalText(t *testing.T) {
	exprs := []Requirement{
		{"x", In, []string{"b", "a", "b"}},
		{"x", NotIn, []string{"c"}},
		{"y", Exists, nil},
		{"z", DoesNotExist, nil},
		{"one", In, []string{"1"}},
		{"not", NotIn, []string{"2", "3"}},
	}
	const want = "!z,not notin (2,3),one=1,x in (a,b),x!=c,y"
	for range 20 {
		rand.Shuffle(len(exprs), func(i, j int) { exprs[i], exprs[j] = exprs[j], exprs[i] })
		s, err := New(map[string]string{"one": "1"}, exprs)
		if err != nil {
			t.Fatal(err)
		}
		if s.String() != want {
			t.Fatalf("text %q, want %q", s, want)
		}
	}
	s, _ := New(map[string]string{"one": "1"}, nil)
	same, _ := New(nil, []Requirement{{"one", In, []string{"1", "1"}}})
	other, _ := New(nil, []Requirement{{"one", NotIn, []string{"1"}}})
	if !s.Equal(same) || s.Equal(other) {
		t.Errorf("%q equals %q: %v; equals %q: %v", s, same, s.Equal(same), other, s.Equal(other))
	}
}

// A selector keeps nothing of what it was made from.
func TestImmutable(t *testing.T) {
	values := []string{"b", "a"}
	s, err := New(nil, []Requirement{{"x", In, values}})
	if err != nil {
		t.Fatal(err)
	}
	if values[0] != "b" {
		t.Error("New sorted its caller's values")
	}
	values[0], values[1] = "c", "d"
	if !s.Matches(map[string]string{"x": "a"}) || s.Matches(map[string]string{"x": "c"}) {
		t.Error("changing the values changed the selector")
	}
}

func TestMistakes(t *testing.T) {
	for name, tc := range map[string]struct {
		labels map[string]string
		exprs  []Requirement
		want   string
	}{
		"bad label key":      {labels: map[string]string{"-a": "b"}, want: `label "-a" is not a label key; ` + keyRemedy},
		"bad label value":    {labels: map[string]string{"a": "b c"}, want: `label "a": value "b c" is not a label value; ` + valueRemedy},
		"missing key":        {exprs: []Requirement{{"", Exists, nil}}, want: "expression 0: key is missing; name the label to look at"},
		"bad key":            {exprs: []Requirement{{"a b", Exists, nil}}, want: `expression 0: key "a b" is not a label key; ` + keyRemedy},
		"missing operator":   {exprs: []Requirement{{"a", "", nil}}, want: "expression 0: operator is missing; " + operatorRemedy},
		"unknown operator":   {exprs: []Requirement{{"a", "Gt", []string{"1"}}}, want: `expression 0: operator "Gt" is not known; ` + operatorRemedy},
		"misspelt operator":  {exprs: []Requirement{{"a", "not-in", []string{"1"}}}, want: `expression 0: operator "not-in" is not known; use NotIn`},
		"symbol as operator": {exprs: []Requirement{{"a", "==", []string{"1"}}}, want: `expression 0: operator "==" is not known; use In`},
		"values missing":     {exprs: []Requirement{{"a", In, nil}}, want: "expression 0: values are missing for operator In; list at least one value"},
		"values forbidden":   {exprs: []Requirement{{"a", DoesNotExist, []string{"1"}}}, want: `expression 0: values "1" cannot be given for operator DoesNotExist; leave values out, or use NotIn`},
		"bad value":          {exprs: []Requirement{{"a", In, []string{"ok", "_"}}}, want: `expression 0: values[1] "_" is not a label value; ` + valueRemedy},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := New(tc.labels, tc.exprs)
			if err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
			if !s.Equal(Selector{}) {
				t.Errorf("a selector came with the error: %q", s)
			}
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Errorf("the error is a %T", err)
			}
		})
	}
}

func TestEveryMistakeIsListed(t *testing.T) {
	_, err := New(map[string]string{"-a": "b", "c": "d e"}, []Requirement{{"ok", Exists, nil}, {"", "in", nil}, {"x", In, nil}})
	if err == nil {
		t.Fatal("no error")
	}
	if got := strings.Count(err.Error(), "\n") + 1; got != 5 {
		t.Errorf("%d mistakes, want 5:\n%v", got, err)
	}
}

func TestPins(t *testing.T) {
	in := func(key string, values ...string) Requirement { return Requirement{key, In, values} }
	for _, c := range []struct {
		name   string
		labels map[string]string
		exprs  []Requirement
		want   bool
	}{
		{"everything", nil, nil, false},
		{"the label", map[string]string{"host": "a"}, nil, true},
		{"the label and others", map[string]string{"host": "a", "rack": "b"}, []Requirement{in("zone", "x", "y")}, true},
		{"another label", map[string]string{"rack": "a"}, nil, false},
		{"in one", nil, []Requirement{in("host", "a")}, true},
		{"in one twice", nil, []Requirement{in("host", "a", "a")}, true},
		{"in two", nil, []Requirement{in("host", "a", "b")}, false},
		{"in two, and in one", nil, []Requirement{in("host", "a", "b"), in("host", "b", "b")}, true},
		{"there", nil, []Requirement{{Key: "host", Operator: Exists}}, false},
		{"not there", nil, []Requirement{{Key: "host", Operator: DoesNotExist}}, false},
		{"not in one", nil, []Requirement{{"host", NotIn, []string{"a"}}}, false},
	} {
		s, err := New(c.labels, c.exprs)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Pins("host"); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
