package main

import (
	"fmt"
	"strings"
)

// help is what netlb --help prints.
func help() string {
	var list strings.Builder
	for _, c := range commands {
		fmt.Fprintf(&list, "  %-10s %s\n", c.name, c.brief)
	}
	return `netlb checks the configuration of the network load balancer, and empties nodes, for people and pipelines.

Usage:
  netlb COMMAND [flags]

Commands:
` + list.String() + `
Flags:
  -h, --help      print this help and exit
      --version   print the version and exit

netlb COMMAND --help says what a command takes.
`
}

// unknown says that there is no such command, and which ones there are.
func unknown(name string) string {
	if strings.HasPrefix(name, "-") {
		return fmt.Sprintf("unknown flag %s; flags come after the command, see netlb --help", name)
	}
	names := make([]string, 0, len(commands))
	for _, c := range commands {
		names = append(names, c.name)
	}
	return fmt.Sprintf("there is no command %q; there is %s", name, strings.Join(names, ", "))
}
