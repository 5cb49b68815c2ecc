package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// reader walks the nodes of a document and collects what is wrong with them. Its methods return ok false, or the
// zero value, after noting a mistake, and reading goes on.
type reader struct {
	mistakes []*Error
	warnings []Warning
	visited  int
	beside   []string // keys that may stand beside the document's own, and are nothing to it
	names             // that parts of the document are called by in others
	newer    int64    // the document's schema_version where it is above SchemaVersion: unknown keys are only warned of
}

// value is a node, never an alias, with the path to it.
type value struct {
	*yaml.Node
	path   string
	secret bool // never shown
}

// mostNodes bounds what aliases can blow a small document up to. A document of the size that a ConfigMap may have
// has fewer without them.
const mostNodes = 300_000

// value returns a node with its path, the target if it is an alias. Beyond mostNodes everything is empty, and only
// that is a mistake.
func (r *reader) value(n *yaml.Node, path string) value {
	r.visited++
	if r.tooLarge() {
		r.mistakes = []*Error{{Problem: "becomes too large", Remedy: "use fewer aliases"}}
		return value{Node: &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}, path: path}
	}
	if n.Kind == yaml.AliasNode {
		at := *n.Alias // shown where the alias is
		at.Line, at.Column = n.Line, n.Column
		n = &at
	}
	return value{Node: n, path: path}
}

func (r *reader) tooLarge() bool { return r.visited > mostNodes }

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?((?s:.*))$`)

const startRemedy = "write address_pools and, for BGP, peers"

// document returns the map that a document consists of.
func (r *reader) document(text []byte) (value, bool) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var root, second yaml.Node
	if err := decoder.Decode(&root); errors.Is(err, io.EOF) {
		r.mistakes = append(r.mistakes, &Error{Line: 1, Column: 1, Problem: "is empty", Remedy: startRemedy + ", or enabled: false"})
		return value{}, false
	} else if err != nil {
		r.mistakes = append(r.mistakes, syntaxError(err, text))
		return value{}, false
	}
	switch err := decoder.Decode(&second); {
	case errors.Is(err, io.EOF):
	case err != nil:
		r.mistakes = append(r.mistakes, syntaxError(err, text))
		return value{}, false
	default:
		r.reject(value{Node: &second}, "is followed by another one", "put everything into one document, without ---")
		return value{}, false
	}
	return r.root(r.value(root.Content[0], ""))
}

// root checks that a value is a map with something in it.
func (r *reader) root(v value) (value, bool) {
	if isNull(v) {
		r.rejectText(v, "", "is empty", startRemedy+", or enabled: false")
		return value{}, false
	}
	if v.Kind != yaml.MappingNode {
		r.rejectText(v, "", "is "+v.kind()+", not a map", startRemedy)
		return value{}, false
	}
	return v, true
}

var unknownAnchor = regexp.MustCompile(`^unknown anchor '((?s:.*))' referenced$`)

// syntaxError translates "yaml: line 3: did not find expected key". The parser does not name the first line.
func syntaxError(err error, document []byte) *Error {
	e := &Error{
		Problem: "is not YAML: " + err.Error(),
		Remedy:  "check indentation, colons, brackets and quotes there and in the line before",
	}
	if match := yamlError.FindStringSubmatch(err.Error()); match != nil {
		e.Line, _ = strconv.Atoi(match[1])
		e.Problem = "is not YAML: " + match[2]
	}
	if match := unknownAnchor.FindStringSubmatch(strings.TrimPrefix(e.Problem, "is not YAML: ")); match != nil {
		before, _, _ := bytes.Cut(document, []byte("*"+match[1]))
		e.Line = 1 + bytes.Count(before, []byte("\n"))
		e.Problem = "has an alias (*) without an anchor (&)" // not by name: it may be a password that begins with *
		e.Remedy = "write the value itself, in quotes if it begins with *"
	}
	switch {
	case strings.Contains(e.Problem, "cannot start any token"), strings.Contains(e.Problem, "tab character"):
		e.Remedy = "indent with blanks, not tabs, and quote a value that begins with a special character"
	case strings.Contains(e.Problem, "control characters"), strings.Contains(e.Problem, "UTF-"):
		e.Remedy = "save it as plain UTF-8 text"
		return e
	}
	e.Line = max(e.Line, 1)
	return e
}

// fields is a map of the document, by known key.
type fields struct {
	in    value
	known map[string]value
	meant map[string]bool // keys that an unknown one probably stands for: they are not missing
}

// fields reads a map, whose keys have to be known ones.
func (r *reader) fields(v value, of object) fields {
	f := fields{v, map[string]value{}, map[string]bool{}}
	if !r.is(v, yaml.MappingNode, "a map with "+strings.Join(keys[of], ", ")) {
		return f
	}
	spelt := map[string]value{}
	for i := 0; i+1 < len(v.Content); i += 2 {
		name := r.value(v.Content[i], v.path)
		text := name.Value
		at := value{Node: name.Node, path: join(v.path, segment(text))}
		key, ok := lookUp(of, text)
		switch {
		case name.Kind != yaml.ScalarNode:
			r.rejectText(name, "", fmt.Sprintf("has %s as a key", name.kind()), "a key is one of "+strings.Join(keys[of], ", "))
			continue
		case text == "<<":
			r.rejectText(at, "", "is a merge, which is not supported", "write the keys out")
			continue
		case !ok && of == theDocument && slices.Contains(r.beside, text):
			continue
		case !ok && r.newer > 0:
			r.warnUnknown(at, of, text)
			continue
		case !ok:
			meant, remedy := r.suggest(of, text)
			f.meant[meant] = true
			r.rejectText(at, "", "is not a key of "+string(of), remedy)
			continue
		}
		if first, twice := spelt[key]; twice {
			problem := fmt.Sprintf("is there twice, first in line %d", first.Line)
			if first.Value != text {
				problem = fmt.Sprintf("is the same key as %s in line %d", first.Value, first.Line)
			}
			r.rejectText(at, "", problem, "keep one of them")
			continue
		}
		spelt[key] = name
		f.known[key] = r.value(v.Content[i+1], at.path)
	}
	return f
}

// get returns the value of a key. A key without a value counts as absent.
func (f fields) get(key string) (value, bool) {
	v, ok := f.known[key]
	return v, ok && !isNull(v)
}

// require is get that notes the absence, unless the map itself was wrong.
func (r *reader) require(f fields, key, remedy string) (value, bool) {
	v, ok := f.get(key)
	switch _, there := f.known[key]; {
	case ok:
	case there:
		r.rejectText(v, "", "has no value", remedy)
	case f.in.Kind == yaml.MappingNode && !f.meant[key]:
		r.missing(f.in, key, remedy)
	}
	return v, ok
}

// list returns the elements of a list.
func (r *reader) list(v value) []value {
	if !r.is(v, yaml.SequenceNode, "a list") {
		return nil
	}
	var elements []value
	for i, n := range v.Content {
		if r.tooLarge() {
			break
		}
		elements = append(elements, r.value(n, fmt.Sprintf("%s[%d]", v.path, i)))
	}
	return elements
}

// labels reads a map of labels.
func (r *reader) labels(v value) (labels map[string]string, at map[string]value) {
	return r.texts(v, "a map of labels, or leave it out", "a label key", "a label value")
}

// texts reads a map whose keys are the user's. what is said where it is none, or a key or a value is not text.
func (r *reader) texts(v value, what, aKey, aValue string) (texts map[string]string, at map[string]value) {
	texts, at = map[string]string{}, map[string]value{}
	if !r.is(v, yaml.MappingNode, what) {
		return texts, at
	}
	for i := 0; i+1 < len(v.Content); i += 2 {
		name := r.value(v.Content[i], v.path)
		name.path = fmt.Sprintf("%s[%s]", v.path, segment(name.Value))
		key, ok := r.text(name, aKey)
		if !ok {
			continue
		}
		if first, twice := at[key]; twice {
			r.rejectText(name, "", fmt.Sprintf("is there twice, first in line %d", first.Line), "keep one of them")
			continue
		}
		at[key] = r.value(v.Content[i+1], name.path)
		if text, ok := r.text(at[key], aValue); ok {
			texts[key] = text
		}
	}
	return texts, at
}

// is checks that a value is a map, a list or a scalar, and says what it should be.
func (r *reader) is(v value, kind yaml.Kind, want string) bool {
	if v.Kind == kind && !isNull(v) {
		return true
	}
	r.rejectText(v, v.text(), "is "+v.kind(), "write "+want)
	return false
}

// kind names what sort of value this is.
func (v value) kind() string {
	switch {
	case v.Kind == yaml.MappingNode:
		return "a map"
	case v.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(v):
		return "empty"
	case v.secret:
		return "a single value"
	case v.ShortTag() == "!!str":
		return "text"
	case v.ShortTag() == "!!int", v.ShortTag() == "!!float":
		return "a number"
	case v.ShortTag() == "!!bool":
		return "true or false"
	default:
		return "a " + strings.TrimLeft(v.ShortTag(), "!")
	}
}

// mostShown bounds what of a scalar or of a key is shown, in bytes.
const mostShown = 80

// text shows a scalar in an error, and nothing for what is longer.
func (v value) text() string {
	switch {
	case v.secret || v.Kind != yaml.ScalarNode || isNull(v):
		return ""
	case len(v.Value) > mostShown:
		return strconv.Quote(conceal(strings.ToValidUTF8(v.Value[:mostShown], ""))) + "…"
	case v.ShortTag() == "!!str":
		return strconv.Quote(conceal(v.Value))
	default:
		return v.Value
	}
}

func isNull(v value) bool { return v.Kind == yaml.ScalarNode && v.ShortTag() == "!!null" }

func isEmptyList(v value) bool {
	return v.Node != nil && v.Kind == yaml.SequenceNode && len(v.Content) == 0
}

// segment shows a key as part of a path, so that the path stays on one line and ends where it seems to.
func segment(key string) string {
	if len(key) > mostShown {
		key = strings.ToValidUTF8(key[:mostShown], "") + "…"
	}
	key = conceal(key)
	if plain := strconv.Quote(key); key == "" || plain != `"`+key+`"` || strings.TrimSpace(key) != key {
		return plain
	}
	return key
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
