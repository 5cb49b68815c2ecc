package lab

import (
	"fmt"
	"strings"
)

// Topology draws a lab whose cluster has these families for a terminal.
func Topology(f Families) string {
	d := drawing{families: f}
	d.row(hostsWhere(func(h Host) bool { return h.WAN && !h.LAN }))
	d.line("network behind the routers: " + WANv4 + "  " + WANv6)
	d.row(Routers())
	d.line("LAN: " + LANv4 + "  " + LANv6)
	d.row(hostsWhere(func(h Host) bool { return h.LAN && h.ASN == 0 }))
	fmt.Fprintf(&d, "\n  free for address pools: %s and %s on the LAN (layer 2),\n", LANPoolV4, LANPoolV6)
	fmt.Fprintf(&d, "  %s and %s on no interface (BGP). The nodes are AS %d.\n", BGPPoolV4, BGPPoolV6, NodeASN)
	return d.String()
}

const column = 15

// drawing grows downwards, a row of hosts or a network at a time.
type drawing struct {
	strings.Builder
	families Families
	cables   string // of the row above the next line
}

// row draws hosts beside each other: name, what it is, last parts of the address.
func (d *drawing) row(hosts []Host) {
	var names, kinds, numbers, cables strings.Builder
	for _, h := range hosts {
		fmt.Fprintf(&names, "%-*s", column, h.Name)
		fmt.Fprintf(&kinds, "%-*s", column, h.kind())
		fmt.Fprintf(&numbers, "%-*s", column, h.numbers(d.families))
		fmt.Fprintf(&cables, "%-*s", column, "  |")
	}
	if d.cables != "" {
		d.text(cables.String())
	}
	d.text(names.String())
	d.text(kinds.String())
	d.text(numbers.String())
	d.cables = cables.String()
}

// line draws a network across.
func (d *drawing) line(title string) {
	d.text(d.cables)
	rule := "--- " + title + " "
	d.text(rule + strings.Repeat("-", max(3, 5*column-len(rule))))
}

func (d *drawing) text(s string) { d.WriteString("  " + strings.TrimRight(s, " ") + "\n") }

// numbers are the last parts of its addresses.
func (h Host) numbers(f Families) string {
	if !h.inCluster() {
		f = Dual
	}
	return strings.Join(pick(f, [2]string{fmt.Sprintf(".%d", h.Number), fmt.Sprintf("::%d", h.Number)}), " ")
}

// kind says in a few letters what a host is.
func (h Host) kind() string {
	switch {
	case h.ASN > 0:
		return fmt.Sprintf("AS %d", h.ASN)
	case h.Node > 0:
		return "kubelet"
	case h.Name == Control:
		return "API server"
	default:
		return "curl"
	}
}
