package lab

import (
	"maps"
	"slices"
)

// flags are a program's options by name.
type flags map[string]string

// args returns them as --name=value, sorted.
func (f flags) args() []string {
	args := make([]string, 0, len(f))
	for _, name := range slices.Sorted(maps.Keys(f)) {
		args = append(args, "--"+name+"="+f[name])
	}
	return args
}
