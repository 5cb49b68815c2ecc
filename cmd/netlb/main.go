// Command netlb is for people and pipelines. It says what is wrong with a configuration before anything is changed, and
// empties nodes before they go.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/kontena/network-lb/cmd/internal/process"
)

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// command is a subcommand. It returns an exit code.
type command struct {
	name, brief, summary string
	arguments            []string
	options              []process.Option
	run                  func(process.Values, streams) int
}

var commands = []command{
	{"validate", "says everything that is wrong with a configuration", validateSummary, nil, validateOptions, validate},
	{"drain", "has a node's traffic go to others before the node goes", drainSummary, []string{"NODE"}, drainOptions, drain},
	{"undrain", "takes a drained node back into service", undrainSummary, []string{"NODE"}, undrainOptions, undrain},
}

func main() { os.Exit(run(os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})) }

func run(args []string, s streams) int {
	if len(args) > 1 && args[0] == "help" {
		args = []string{args[1], "--help"}
	}
	if len(args) == 0 {
		fmt.Fprint(s.err, help())
		return process.ExitUsage
	}
	switch args[0] {
	case "-h", "--help", "help":
		fmt.Fprint(s.out, help())
		return 0
	case "--version":
		fmt.Fprintln(s.out, "netlb", process.Version)
		return 0
	}
	for _, c := range commands {
		if c.name == args[0] {
			return c.start(args[1:], s)
		}
	}
	fmt.Fprintf(s.err, "netlb: %s\n", unknown(args[0]))
	return process.ExitUsage
}

// start reads the options of a command and runs it.
func (c command) start(args []string, s streams) int {
	name := "netlb " + c.name
	values, err := process.ParseWith(name, c.summary, c.arguments, c.options, args, s.out)
	if errors.Is(err, process.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(s.err, "%s: %v\n", name, err)
		return process.ExitUsage
	}
	return c.run(values, s)
}
