package main

import (
	"fmt"
	"io"
	"os"

	"github.com/kontena/network-lb/cmd/internal/process"
	"github.com/kontena/network-lb/config"
)

const validateSummary = `says everything that is wrong with a configuration: of a plain document, of the
chart's values, or of the values of a chart that depends on it (below kontena-network-lb).

Exit code: 0 it is valid, 1 it is not, 2 it could not be read or the flags are wrong.`

const (
	stdin      = "-"
	formatText = "text"
	formatJSON = "json"
)

var validateOptions = []process.Option{
	{Name: "file", Short: "f", Default: stdin, Usage: "file to read; -: standard input"},
	{Name: "output", Short: "o", Default: formatText, Usage: "text or json"},
	{Name: "warn-only", Bool: true, Usage: "exit with 0 also when it is not valid"},
	{Name: "cluster", Bool: true, Usage: "ask the cluster too which Services would lose their address"},
	{Name: "kubeconfig", Usage: "with --cluster: kubeconfig file; empty: as kubectl, $KUBECONFIG or ~/.kube/config, or the Pod's own account"},
	{Name: "context", Usage: "with --cluster: context in the kubeconfig; empty: the current one"},
	{Name: "namespace", Default: "kontena-network-lb", Usage: "with --cluster: namespace of the installation"},
	{Name: "last-good", Default: "network-lb-last-good", Usage: "with --cluster: name of the Secret with the accepted configuration"},
}

// validate reads a configuration and reports what is wrong with it.
func validate(v process.Values, s streams) int {
	write, ok := map[string]func(io.Writer, report) error{formatText: writeText, formatJSON: writeJSON}[v["output"]]
	if !ok {
		fmt.Fprintf(s.err, "netlb validate: --output: %q is not a format; use %s or %s\n", v["output"], formatText, formatJSON)
		return process.ExitUsage
	}
	name, data, err := read(v["file"], s.in)
	if err != nil {
		fmt.Fprintf(s.err, "netlb validate: %v\n", err)
		return process.ExitUsage
	}
	r := report{file: name}
	r.config, r.warnings, err = config.ParseValues(data)
	r.mistakes = config.Mistakes(err)
	if v["cluster"] == "true" && err == nil && r.config.Enabled {
		compare(v, &r)
	}
	if err := write(s.out, r); err != nil {
		fmt.Fprintf(s.err, "netlb validate: writing the result: %v\n", err)
		return process.ExitUsage
	}
	if len(r.mistakes) > 0 && v["warn-only"] != "true" {
		return process.ExitFailure
	}
	return 0
}

// read returns what is in a file, and what to call it.
func read(file string, in io.Reader) (name string, data []byte, err error) {
	if file == "" || file == stdin {
		if data, err = io.ReadAll(in); err != nil {
			return "", nil, fmt.Errorf("reading standard input: %w", err)
		}
		return "stdin", data, nil
	}
	if data, err = os.ReadFile(file); err != nil {
		return "", nil, fmt.Errorf("reading --file: %w", err)
	}
	return file, data, nil
}
