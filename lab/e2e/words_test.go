package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kontena/network-lb/lab"
	"github.com/kontena/network-lb/lab/addon"
	"github.com/kontena/network-lb/lab/image"
)

// source reads the arguments of the words that take a chart: [-chart FOLDER] VALUES [key=value...].
func source(args []string) addon.Source {
	s := addon.Source{Chart: addon.Chart(root)}
	if len(args) > 2 && args[0] == "-chart" {
		s.Chart, args = args[1], args[2:]
	}
	s.Values, s.Set = args[0], args[1:]
	return s
}

// objects lists what the cluster holds in the addon's namespace or in none, as KIND/NAME, but Events, definitions of
// resources, the addresses of Services, and Speakers, which go with their Nodes.
func objects(ctx context.Context, c *lab.Cluster) (string, error) {
	var all []string
	for _, scope := range []string{"--namespaced=true", "--namespaced=false"} {
		kinds, err := c.Kubectl(ctx, "api-resources", "--verbs=list,get", "--output=name", scope)
		if err != nil {
			return "", err
		}
		some := slices.DeleteFunc(strings.Fields(kinds), func(kind string) bool {
			name, _, _ := strings.Cut(kind, ".")
			return slices.Contains([]string{"events", "customresourcedefinitions", "apiservices", "ipaddresses", "speakers"}, name)
		})
		out, err := c.Kubectl(ctx, "get", strings.Join(some, ","), "--namespace", addon.Namespace, "--output=name")
		if err != nil {
			return "", err
		}
		all = append(all, strings.Fields(out)...)
	}
	slices.Sort(all)
	return strings.Join(all, "\n") + "\n", nil
}

// netlb is the product's own, with the operator's account.
func netlb(ctx context.Context, c *lab.Cluster, args []string) (string, error) {
	program := filepath.Join(files, "netlb")
	if _, err := os.Stat(program); err != nil {
		if err := image.GoBinary(ctx, root, "./cmd/netlb", program, ""); err != nil {
			return "", err
		}
	}
	return c.Exec(ctx, lab.Control, append([]string{program}, append(args, "--kubeconfig", c.Kubeconfig())...)...)
}

// cut drops what Pods send to open a connection to the API server; the connections there are stay.
func cut(c *lab.Cluster) error {
	const table = "table inet story { chain forward { type filter hook forward priority -10; ip saddr " + lab.PodsV4 +
		" tcp dport 6443 ct state new drop; }; }"
	return onNodes(c, "nft", table)
}

// mend undoes cut, if there was one.
func mend(c *lab.Cluster) error {
	return onNodes(c, "nft", "add table inet story; delete table inet story")
}

func onNodes(c *lab.Cluster, command ...string) error {
	var errs []error
	for _, h := range lab.Nodes() {
		_, err := c.Exec(context.Background(), h.Name, command...)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// wantPassword has a router take a neighbour only with a password: one of its own beside those that the lab's routers
// take from everywhere.
func wantPassword(c *lab.Cluster, router lab.Host, neighbour, password string) error {
	n := "neighbor " + neighbour + " "
	return configure(c, router, n+fmt.Sprintf("remote-as %d", lab.NodeASN), n+"passive", n+"password "+password,
		"address-family ipv4 unicast", n+"activate")
}

// forgetPassword undoes wantPassword, also a second time.
func forgetPassword(c *lab.Cluster, router lab.Host, neighbour string) error {
	all, err := c.FRR(context.Background(), router.Name, "show running-config")
	if err != nil || !strings.Contains(all, "neighbor "+neighbour+" ") {
		return err
	}
	return configure(c, router, "no neighbor "+neighbour)
}

func configure(c *lab.Cluster, router lab.Host, lines ...string) error {
	lines = append([]string{"configure terminal", fmt.Sprintf("router bgp %d", router.ASN)}, lines...)
	_, err := c.FRR(context.Background(), router.Name, strings.Join(lines, "\n"))
	return err
}

// port sets the port of the LAN's switch that a host is at up or down.
func port(host, state string) error {
	out, err := exec.Command("ip", "-netns", lab.Prefix+lab.LAN, "link", "set", host, state).CombinedOutput()
	if err != nil {
		return fmt.Errorf("setting the port of %s %s: %w: %s", host, state, err, out)
	}
	return nil
}

// other is the second switch, which is there while the LAN is split.
const other = "br1"

// split takes the ports of hosts to the second switch.
func split(hosts []string) error {
	commands := "link add " + other + " type bridge mcast_snooping 0\nlink set " + other + " up\n"
	for _, h := range hosts {
		commands += "link set " + h + " master " + other + "\n"
	}
	return inSwitch(commands)
}

// join makes the LAN whole again, also a second time. A switch that has no ports any more is of no use.
func join() error {
	links, _ := exec.Command("ip", "-netns", lab.Prefix+lab.LAN, "-oneline", "link", "show", "master", other).Output()
	if len(links) == 0 { // it is not there
		return nil
	}
	commands := ""
	for _, m := range regexp.MustCompile(`(?m)^\d+: ([^@:]+)`).FindAllStringSubmatch(string(links), -1) {
		commands += "link set " + m[1] + " master br0\n"
	}
	return inSwitch(commands + "link delete " + other + "\n")
}

// inSwitch has ip carry out commands in the LAN's switch, a line each.
func inSwitch(commands string) error {
	ip := exec.Command("ip", "-netns", lab.Prefix+lab.LAN, "-batch", "-")
	ip.Stdin = strings.NewReader(commands)
	if out, err := ip.CombinedOutput(); err != nil {
		return fmt.Errorf("%q: %w: %s", commands, err, out)
	}
	return nil
}

// follow makes these the only chains of a host's that are a story's.
func follow(c *lab.Cluster, host, chains string) error {
	_, err := c.Exec(context.Background(), host, "nft", "add table inet story; delete table inet story; table inet story {\n"+chains+"\n}")
	return err
}

// addresses reads the range FIRST-LAST.
func addresses(text string) ([]netip.Addr, error) {
	from, to, _ := strings.Cut(text, "-")
	a, err := netip.ParseAddr(from)
	last, err2 := netip.ParseAddr(to)
	var all []netip.Addr
	for ; err == nil && err2 == nil && a.Compare(last) <= 0; a = a.Next() {
		all = append(all, a)
	}
	return all, errors.Join(err, err2)
}

// readLimits reads such as gap=2.5s, rate=50 and still.
func readLimits(args []string) (l limits, err error) {
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		into := map[string]*time.Duration{"gap": &l.gap, "double": &l.double, "settled": &l.settled}[name]
		switch {
		case into != nil:
			*into, err = time.ParseDuration(value)
		case arg == "still":
			l.still = true
		case name == "rate":
			l.rate, err = strconv.Atoi(value)
		default:
			err = fmt.Errorf("there is no limit %q", arg)
		}
		if err != nil {
			return l, err
		}
	}
	return l, nil
}

// ear is a command that goes on, and what it has said.
type ear struct {
	command *lab.Cmd
	mu      sync.Mutex
	said    strings.Builder
}

func listen(c *lab.Cluster, host string, command ...string) (*ear, error) {
	cmd, err := c.Command(context.Background(), host, command...)
	if err != nil {
		return nil, err
	}
	e := &ear{command: cmd}
	cmd.Stdout, cmd.Stderr = e, e
	return e, cmd.Start()
}

// Write implements io.Writer.
func (e *ear) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.said.Write(b)
}

func (e *ear) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.said.String()
}

func (e *ear) stop() {
	_ = e.command.Process.Kill() // it has ended, if not
	_ = e.command.Wait()         // by the signal
}

// signal sends the speaker of a node a signal. All nodes have the machine's processes in sight; a node's own are in its
// network.
func signal(ctx context.Context, c *lab.Cluster, node, name string) (string, error) {
	return signalProgram(ctx, c, node, "-x speaker", name)
}

// signalProgram sends a node's processes that pgrep finds a signal, and returns their ids.
func signalProgram(ctx context.Context, c *lab.Cluster, node, which, name string) (string, error) {
	return c.Exec(ctx, node, "sh", "-c", `here=$(stat -L -c %i /proc/self/ns/net); for p in $(pgrep `+which+`); do
		if [ "$(stat -L -c %i /proc/$p/ns/net)" = "$here" ]; then kill -`+name+` $p && echo $p; fi; done | grep .`)
}

// signalAll sends every process in a host's network a signal, but for those that do it.
func signalAll(c *lab.Cluster, host, name string) error {
	_, err := c.Exec(context.Background(), host, "sh", "-c", `here=$(stat -L -c %i /proc/self/ns/net); for p in /proc/[0-9]*; do
		if [ $p != /proc/$$ ] && [ $p != /proc/$PPID ] && [ "$(stat -L -c %i $p/ns/net 2>/dev/null)" = "$here" ]; then
			kill -`+name+` ${p#/proc/}; fi; done; :`)
	return err
}

var macPattern = regexp.MustCompile(`(?:\[|link-layer address: )([0-9A-Fa-f:]{17})`)

// answers asks for the address by ARP or NDP and returns the names of the nodes whose MAC came back.
func answers(ctx context.Context, c *lab.Cluster, address string) (string, error) {
	ask := []string{"arping", "-c", "2", "-w", "3", "-I", "eth0", address}
	if a, err := netip.ParseAddr(address); err == nil && a.Is6() {
		ask = []string{"ndisc6", "-m", "-r", "2", "-w", "1000", address, "eth0"}
	}
	out, _ := c.Exec(ctx, lab.Client, ask...) // the exit code says only whether anybody answered
	var names []string
	for _, m := range macPattern.FindAllStringSubmatch(out, -1) {
		name, err := ownerOf(ctx, c, m[1])
		if err != nil {
			return "", err
		}
		names = append(names, name+"\n")
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ""), nil
}

func ownerOf(ctx context.Context, c *lab.Cluster, mac string) (string, error) {
	for _, h := range lab.Nodes() {
		link, err := c.Exec(ctx, h.Name, "ip", "-oneline", "link", "show", "eth0")
		if err != nil {
			return "", err
		}
		if strings.Contains(link, "link/ether "+strings.ToLower(mac)) {
			return h.Name, nil
		}
	}
	return "", fmt.Errorf("no node has the MAC %s", mac)
}
