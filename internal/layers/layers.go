// Package layers checks that no package imports what does not stand below it in the house: the rules of
// docs/architecture.md, as a table.
package layers

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Module is the project's import path.
const Module = "github.com/kontena/network-lb"

// room is a package and what it may import besides the standard library and itself.
type room struct {
	path string
	why  string
	own  []string // packages of ours; a trailing /... includes those below
	libs []string // prefixes of others' packages
}

// rooms are in order from the ground floor up. A directory belongs to the longest path that fits.
var rooms = []room{
	{path: "selector", why: "it matches labels and knows nothing else", libs: []string{"k8s.io/apimachinery/pkg"}},
	{path: "ipam", why: "other projects import it alone: the standard library must do"},
	{path: "bgp", why: "it keeps routes over an Engine and knows no implementation", libs: []string{"go.uber.org/zap"}},
	{path: "bgp/gobgp", why: "it is the only door to GoBGP, and has no other", own: []string{"bgp", "bgp/neigh"},
		libs: []string{"github.com/osrg/gobgp/v3", "google.golang.org/protobuf", "go.uber.org/zap"}},
	{path: "bgp/neigh", why: "it knows the node's addresses and nothing of Kubernetes", own: []string{"bgp"},
		libs: []string{"github.com/vishvananda/netlink", "github.com/mdlayher/ndp", "golang.org/x/net/ipv6", "golang.org/x/sys"}},
	{path: "bgp/bfd", why: "it watches neighbours and knows nothing of BGP", libs: []string{"golang.org/x", "go.uber.org/zap"}},
	{path: "bgp/discard", why: "it writes a few routes into the kernel and knows nothing of BGP itself",
		libs: []string{"github.com/vishvananda/netlink", "golang.org/x/sys"}},
	{path: "layer2", why: "it answers over a Transport and knows no sockets", libs: []string{"go.uber.org/zap"}},
	{path: "layer2/subnets", why: "it reads a few facts of the kernel and knows nothing of frames",
		libs: []string{"github.com/vishvananda/netlink", "golang.org/x/sys"}},
	{path: "layer2/rawsock", why: "it is the Transport on Linux sockets", own: []string{"layer2", "layer2/layer2test"},
		libs: []string{"github.com/mdlayher", "github.com/vishvananda/netlink", "golang.org/x", "go.uber.org/zap"}},
	{path: "announce", why: "it decides from values alone", own: []string{"selector", "bgp", "layer2"}},
	{path: "announce/members", why: "it is the only door to memberlist, and asks no API server", own: []string{"layer2"},
		libs: []string{"github.com/hashicorp/memberlist", "go.uber.org/zap", "golang.org/x/sys"}},
	{path: "config", why: "it is the validated intent, of values alone", own: []string{"selector", "ipam", "bgp", "layer2", "announce"},
		libs: []string{"go.yaml.in/yaml/v3"}},
	{path: "kube", why: "Kubernetes' types stop here, and sockets and GoBGP stay out",
		own:  []string{"selector", "ipam", "bgp", "layer2", "layer2/layer2test", "announce", "announce/members", "announce/members/memberstest", "config", "kube/...", "internal/atomicfile"},
		libs: []string{"k8s.io", "github.com/prometheus", "go.uber.org/zap"}},
	{path: "cmd", why: "it wires everything together", own: []string{"..."}, libs: []string{""}},
	{path: "charts/kontena-network-lb", why: "its tests compare what it renders with config and the reports", own: []string{"config", "kube/reports"},
		libs: []string{"helm.sh/helm/v3", "k8s.io", "sigs.k8s.io/yaml", "go.yaml.in/yaml/v3"}},
	{path: "examples", why: "it shows what a package of ours does alone", own: []string{"ipam", "bgp", "bgp/gobgp", "bgp/neigh", "layer2", "layer2/..."}},
	{path: "internal/atomicfile", why: "it replaces files and knows nothing of what they say"},
	{path: "internal", why: "it is test machinery", libs: []string{"github.com/vishvananda/netns", "golang.org/x"}},
}

// testLibs may be imported by any test.
var testLibs = []string{Module + "/internal", "go.uber.org/zap"}

// modulesApart are directories with a go.mod of their own.
var modulesApart = []string{"lab", "tools"}

// Check parses the imports of every Go file below tree and returns a sentence for each that is forbidden.
func Check(tree fs.FS) ([]string, error) {
	var found []string
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (slices.Contains(modulesApart, name) || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && name != ".") {
			return fs.SkipDir
		}
		if d.IsDir() || path.Ext(name) != ".go" {
			return nil
		}
		source, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		violations, err := checkFile(name, source)
		found = append(found, violations...)
		return err
	})
	return found, err
}

func checkFile(name string, source []byte) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly)
	if err != nil {
		return nil, fmt.Errorf("reading imports: %w", err)
	}
	r := roomOf(path.Dir(name))
	if r == nil {
		return []string{name + " stands in no room: add its package to the table in internal/layers, in its place"}, nil
	}
	var found []string
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: reading imports: %w", name, err)
		}
		if r.allows(imported, path.Dir(name)) || strings.HasSuffix(name, "_test.go") && hasPrefix(imported, testLibs) {
			continue
		}
		found = append(found, fmt.Sprintf("%s imports %s, which the room %s must not: %s", name, imported, r.path, r.why))
	}
	return found, nil
}

func roomOf(dir string) *room {
	var best *room
	for i := range rooms {
		if within(dir, rooms[i].path) && (best == nil || len(rooms[i].path) > len(best.path)) {
			best = &rooms[i]
		}
	}
	return best
}

func (r *room) allows(imported, dir string) bool {
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") {
		return true // the standard library
	}
	if local, ours := strings.CutPrefix(imported, Module+"/"); ours {
		if local == dir || roomOf(local) == r {
			return true
		}
		return slices.ContainsFunc(r.own, func(own string) bool {
			base, below := strings.CutSuffix(own, "...")
			return local == own || below && strings.HasPrefix(local, base)
		})
	}
	return hasPrefix(imported, r.libs)
}

func hasPrefix(imported string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return p == "" || within(imported, p) })
}

func within(name, parent string) bool { return name == parent || strings.HasPrefix(name, parent+"/") }
