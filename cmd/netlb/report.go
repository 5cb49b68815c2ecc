package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"strings"

	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/ipam"
)

// report is what there is to say of a configuration. It is valid if it has no mistakes.
type report struct {
	file     string
	config   config.Config
	warnings []config.Warning
	mistakes []*config.Error
}

// writeText writes a line for every mistake, then one for every warning, then what it comes to.
func writeText(w io.Writer, r report) error {
	var text strings.Builder
	for _, m := range r.mistakes {
		fmt.Fprintf(&text, "%s: %s\n", r.place(m), sentence(m))
	}
	for i := range r.warnings {
		warning := (*config.Error)(&r.warnings[i])
		fmt.Fprintf(&text, "%s: warning: %s\n", r.place(warning), sentence(warning))
	}
	verdict := "valid: " + summary(r.config)
	if n := len(r.mistakes); n > 0 {
		verdict = "not valid: " + count(n, "mistake")
	}
	if n := len(r.warnings); n > 0 {
		verdict += ", " + count(n, "warning")
	}
	fmt.Fprintf(&text, "%s: %s\n", r.file, verdict)
	_, err := io.WriteString(w, text.String())
	return err
}

// place is FILE:LINE:COLUMN, as compilers and editors have it.
func (r report) place(e *config.Error) string {
	place := r.file
	for _, n := range []int{e.Line, e.Column} {
		if n == 0 {
			break
		}
		place += fmt.Sprintf(":%d", n)
	}
	return place
}

func sentence(e *config.Error) string {
	without := *e
	without.Line = 0
	return without.Error()
}

// summary says what a valid configuration consists of.
func summary(c config.Config) string {
	allocator, err := ipam.New(c.AllocatorPools())
	if err != nil {
		return err.Error()
	}
	sizes := map[ipam.Family]*big.Int{}
	for _, u := range allocator.Usage() {
		if sizes[u.Family] == nil {
			sizes[u.Family] = new(big.Int)
		}
		sizes[u.Family].Add(sizes[u.Family], u.Size)
	}
	var addresses []string
	for _, f := range []ipam.Family{ipam.IPv4, ipam.IPv6} {
		if n := sizes[f]; n != nil {
			addresses = append(addresses, fmt.Sprintf("%s %s", n, f))
		}
	}
	parts := []string{count(len(c.Pools), "pool")}
	if len(addresses) > 0 {
		parts[0] += " (addresses to assign: " + strings.Join(addresses, ", ") + ")"
	}
	parts = append(parts, count(len(c.Peers), "peer"))
	if !c.Enabled {
		parts = append(parts, "enabled: false, so that nothing is installed")
	}
	return strings.Join(parts, ", ")
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// finding is a mistake or a warning in JSON. docs/configuration.md says what its fields mean.
type finding struct {
	Path    string `json:"path"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Value   string `json:"value"`
	Problem string `json:"problem"`
	Remedy  string `json:"remedy"`
}

// writeJSON writes an object with everything.
func writeJSON(w io.Writer, r report) error {
	result := struct {
		Valid    bool      `json:"valid"`
		Errors   []finding `json:"errors"`
		Warnings []finding `json:"warnings"`
	}{len(r.mistakes) == 0, []finding{}, []finding{}}
	for _, m := range r.mistakes {
		result.Errors = append(result.Errors, finding(*m))
	}
	for _, m := range r.warnings {
		result.Warnings = append(result.Warnings, finding(m))
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(result)
}
