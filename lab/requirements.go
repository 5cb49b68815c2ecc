package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// tool is a program of the machine that the lab uses.
type tool struct {
	name string
	pkg  string   // the Debian package that has it
	in   []string // folders to look in besides PATH
}

var neededTools = []tool{
	{name: "containerd", pkg: "containerd"},
	{name: "containerd-shim-runc-v2", pkg: "containerd"},
	{name: "ctr", pkg: "containerd"},
	{name: "ptp", pkg: "containernetworking-plugins", in: cniFolders},
	{name: "host-local", pkg: "containernetworking-plugins", in: cniFolders},
	{name: "loopback", pkg: "containernetworking-plugins", in: cniFolders},
	{name: "zebra", pkg: "frr", in: []string{"/usr/lib/frr"}},
	{name: "bgpd", pkg: "frr", in: []string{"/usr/lib/frr"}},
	{name: "bfdd", pkg: "frr", in: []string{"/usr/lib/frr"}},
	{name: "vtysh", pkg: "frr"},
	{name: "bird", pkg: "bird2"},
	{name: "birdc", pkg: "bird2"},
	{name: "nft", pkg: "nftables"},
	{name: "gcc", pkg: "gcc"},
	{name: "pkg-config", pkg: "pkg-config"},
	// What people and tests run on the hosts.
	{name: "ip", pkg: "iproute2"},
	{name: "curl", pkg: "curl"},
	{name: "ping", pkg: "iputils-ping"},
	{name: "arping", pkg: "iputils-arping"},
	{name: "ndisc6", pkg: "ndisc6"},
	{name: "tcpdump", pkg: "tcpdump"},
}

var cniFolders = []string{"/usr/lib/cni", "/opt/cni/bin"}

// checkMachine says why no lab can run here, whatever is installed.
func checkMachine() error {
	if runtime.GOOS != "linux" {
		return fmt.Errorf("the lab is made of Linux network namespaces: run it on Linux, not on %s", runtime.GOOS)
	}
	if os.Geteuid() != 0 {
		return errors.New("the lab makes network namespaces and mounts: run it as root")
	}
	return nil
}

// findTools returns the paths of the tools by name ("cni": the folder of CNI plugins), or one error that says
// everything there is to do before a lab can run on this machine.
func findTools() (map[string]string, error) {
	if err := checkMachine(); err != nil {
		return nil, err
	}
	paths, err := locate(neededTools)
	if err != nil {
		return nil, err
	}
	if err := exec.Command(paths["pkg-config"], "--exists", "libseccomp").Run(); err != nil {
		return nil, errors.New("the lab builds runc with libseccomp: apt-get install libseccomp-dev")
	}
	paths["cni"] = filepath.Dir(paths["ptp"])
	return paths, nil
}

// locate finds all tools, or names all missing ones with their packages.
func locate(tools []tool) (map[string]string, error) {
	paths, missing, packages := map[string]string{}, []string{}, []string{}
	for _, t := range tools {
		path, err := t.find()
		if err != nil {
			missing, packages = append(missing, t.name), append(packages, t.pkg)
		}
		paths[t.name] = path
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		slices.Sort(packages)
		return nil, fmt.Errorf("the lab needs %s: apt-get install %s",
			strings.Join(missing, ", "), strings.Join(slices.Compact(packages), " "))
	}
	return paths, nil
}

func (t tool) find() (string, error) {
	for _, folder := range t.in {
		path := filepath.Join(folder, t.name)
		if info, err := os.Stat(path); err == nil && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return exec.LookPath(t.name)
}
