package lab

import (
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestTopologyDrawing(t *testing.T) {
	golden := filepath.Join("testdata", "topology.txt")
	got := Topology(Dual)
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the drawing has changed (go test -update accepts it):\n%s", got)
	}
	for _, name := range HostNames() {
		if !strings.Contains(got, name) {
			t.Errorf("the drawing lacks %s", name)
		}
	}
	// A cluster of one family: only its own hosts have one.
	want = []byte("  .100 ::100     ::11           ::12           ::13           ::10\n")
	if got := Topology(IPv6); !strings.Contains(got, string(want)) {
		t.Errorf("the drawing with IPv6 alone lacks %q:\n%s", want, got)
	}
}

func TestAddressesAreUniqueAndOutsideOfPools(t *testing.T) {
	lan4, lan6 := netip.MustParsePrefix(LANv4), netip.MustParsePrefix(LANv6)
	wan4, wan6 := netip.MustParsePrefix(WANv4), netip.MustParsePrefix(WANv6)
	seen := map[netip.Addr]string{}
	check := func(h Host, addr netip.Addr, network netip.Prefix) {
		t.Helper()
		if other, ok := seen[addr]; ok {
			t.Errorf("%s and %s both have %s", h.Name, other, addr)
		}
		seen[addr] = h.Name
		if !network.Contains(addr) {
			t.Errorf("%s has %s, outside of %s", h.Name, addr, network)
		}
		for _, pool := range []string{LANPoolV4, LANPoolV6} {
			from, to, _ := strings.Cut(pool, "-")
			if netip.MustParseAddr(from).Compare(addr) <= 0 && addr.Compare(netip.MustParseAddr(to)) <= 0 {
				t.Errorf("%s has %s, which is in the pool %s", h.Name, addr, pool)
			}
		}
	}
	for _, h := range Hosts {
		if h.LAN {
			check(h, h.LANAddrs(Dual)[0], lan4)
			check(h, h.LANAddrs(Dual)[1], lan6)
		}
		if h.WAN {
			check(h, h.WANAddrs()[0], wan4)
			check(h, h.WANAddrs()[1], wan6)
		}
	}
}

func TestPodNetworksAreInTheClusterOnes(t *testing.T) {
	all := [2]netip.Prefix{netip.MustParsePrefix(PodsV4), netip.MustParsePrefix(PodsV6)}
	for _, node := range Nodes() {
		for i, pods := range node.PodCIDRs(Dual) {
			if !all[i].Overlaps(pods) || all[i].Bits() > pods.Bits() {
				t.Errorf("pods of %s are in %s, outside of %s", node.Name, pods, all[i])
			}
		}
	}
}

func TestRoutes(t *testing.T) {
	count := func(name string, f Families) (defaults, pods, hops int) {
		t.Helper()
		h, err := HostNamed(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range h.routes(f) {
			if r.to.Bits() == 0 {
				defaults++
				hops += len(r.via)
			} else {
				pods++
			}
		}
		return defaults, pods, hops
	}
	for _, test := range []struct {
		host                 string
		families             Families
		defaults, pods, hops int
	}{
		{Far, Dual, 2, 0, 4},
		{Client, Dual, 2, 0, 4},
		{Node1, Dual, 2, 4, 4},   // the two other nodes, both families
		{Control, Dual, 0, 6, 0}, // all three nodes
		{FRR1, Dual, 0, 0, 0},
		{Client, IPv6, 2, 0, 4}, // not in the cluster
		{Node1, IPv6, 1, 2, 2},
		{Control, IPv4, 0, 3, 0},
	} {
		defaults, pods, hops := count(test.host, test.families)
		if defaults != test.defaults || pods != test.pods || hops != test.hops {
			t.Errorf("%s has %d default routes over %d neighbours and %d to pods, want %d over %d and %d",
				test.host, defaults, hops, pods, test.defaults, test.hops, test.pods)
		}
	}
	if _, err := HostNamed("nobody"); err == nil {
		t.Error("found a host that is not there")
	}
}

// The version that the binaries report is the one that they are built from.
func TestKubernetesVersion(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join("kube", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(mod), "k8s.io/kubernetes "+kubernetesVersion+"\n") {
		t.Errorf("lab/kube/go.mod does not require k8s.io/kubernetes %s", kubernetesVersion)
	}
	staging := strings.Replace(kubernetesVersion, "v1.", "v0.", 1)
	for _, line := range regexp.MustCompile(`(?m)^\t(k8s\.io/\S+) => (\S+ \S+)$`).FindAllStringSubmatch(string(mod), -1) {
		if line[2] != line[1]+" "+staging {
			t.Errorf("lab/kube/go.mod replaces %s by %s, want version %s", line[1], line[2], staging)
		}
	}
}

func TestNodeFilesParse(t *testing.T) {
	render := func(f Families, content string) []byte {
		t.Helper()
		file := filepath.Join(t.TempDir(), "file")
		if err := writeTemplate(file, content, nodeData(Nodes()[0], f, "/x/runc", "/x/cni")); err != nil {
			t.Fatal(err)
		}
		out, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, test := range []struct {
		families        Families
		listen, subnets string
	}{
		{Dual, "::", `[[{"subnet":"10.244.1.0/24"}],[{"subnet":"fd00:10:244:1::/64"}]] [{"dst":"0.0.0.0/0"},{"dst":"::/0"}]`},
		{IPv4, "0.0.0.0", `[[{"subnet":"10.244.1.0/24"}]] [{"dst":"0.0.0.0/0"}]`},
		{IPv6, "::", `[[{"subnet":"fd00:10:244:1::/64"}]] [{"dst":"::/0"}]`},
	} {
		var kubelet map[string]any
		if err := yaml.UnmarshalStrict(render(test.families, kubeletConfig), &kubelet); err != nil || kubelet["address"] != test.listen {
			t.Errorf("%s: kubelet.yaml: %v, address %v, want %s", test.families, err, kubelet["address"], test.listen)
		}
		var cni struct {
			Plugins []struct {
				IPAM struct{ Ranges, Routes json.RawMessage }
			}
		}
		text := render(test.families, cniConfig)
		if err := json.Unmarshal(text, &cni); err != nil || len(cni.Plugins) != 1 {
			t.Fatalf("%s: cni.json: %v\n%s", test.families, err, text)
		}
		ipam := cni.Plugins[0].IPAM
		if got := strings.ReplaceAll(string(ipam.Ranges)+"\x00"+string(ipam.Routes), " ", ""); strings.ReplaceAll(got, "\x00", " ") != test.subnets {
			t.Errorf("%s: cni.json has %q, want %s", test.families, got, test.subnets)
		}
	}
	if toml := render(Dual, containerdConfig); !strings.Contains(string(toml), `BinaryName = "/x/runc"`) {
		t.Errorf("containerd.toml:\n%s", toml)
	}
}

func TestNodeFile(t *testing.T) {
	got := nodeFile("/state", Node1, "/var/lib/kubelet/config.yaml")
	if want := "/state/nodes/node-1/var-lib-kubelet/config.yaml"; got != want {
		t.Errorf("nodeFile = %s, want %s", got, want)
	}
}
