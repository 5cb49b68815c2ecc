// Package process is what the binaries have in common: options from flags, environment and a file, a logger,
// a client of the cluster, and an orderly end.
package process

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

// EnvPrefix starts the name of every environment variable: --log-level is NETWORK_LB_LOG_LEVEL.
const EnvPrefix = "NETWORK_LB"

// Version is set when a release is built.
var Version = "dev"

// Option is a flag, an environment variable and a key of the options file in one.
type Option struct {
	// Name is the flag's; Default its value when nobody says otherwise.
	Name, Default string
	// Usage is a line for --help.
	Usage string
	// Short is one letter for the flag, or "" for none.
	Short string
	// Bool makes it a flag that is given without a value; its value is "true" or "false".
	Bool bool
	// Required refuses an empty value.
	Required bool
}

// Env returns the option's environment variable.
func (o Option) Env() string {
	return EnvPrefix + "_" + strings.ToUpper(strings.ReplaceAll(o.Name, "-", "_"))
}

// ErrHelp is returned when the options were asked for and nothing else is to be done.
var ErrHelp = pflag.ErrHelp

// Values are the options as they are to be used.
type Values map[string]string

// Parse reads the options: a flag wins over the environment, that over the file named by --options, that over
// the default. It prints help or the version to out and returns ErrHelp when asked for these.
func Parse(name, summary string, options []Option, args []string, out io.Writer) (Values, error) {
	return ParseWith(name, summary, nil, options, args, out)
}

// ParseWith is Parse for a command that takes arguments too, each of which is needed. Their names are as --help has them, in
// capitals, and are their keys among the values.
func ParseWith(name, summary string, arguments []string, options []Option, args []string, out io.Writer) (Values, error) {
	flags := pflag.NewFlagSet(name, pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.SortFlags = true
	v := viper.New()
	for _, o := range options {
		usage := fmt.Sprintf("%s [$%s]", o.Usage, o.Env())
		if o.Bool {
			flags.BoolP(o.Name, o.Short, o.Default == "true", usage)
		} else {
			flags.StringP(o.Name, o.Short, o.Default, usage)
		}
		if err := v.BindEnv(o.Name, o.Env()); err != nil {
			return nil, fmt.Errorf("binding %s: %w", o.Env(), err)
		}
	}
	file := flags.String("options", "", "YAML file with these options by their names, for a process outside a cluster")
	version := flags.Bool("version", false, "print the version and exit")
	flags.Usage = func() {
		fmt.Fprintf(out, "%s %s\n\nUsage:\n  %s [flags]\n\nFlags:\n%s", name, summary, strings.Join(append([]string{name}, arguments...), " "), flags.FlagUsagesWrapped(100))
	}
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if *version {
		fmt.Fprintln(out, name, Version)
		return nil, ErrHelp
	}
	switch n := flags.NArg(); {
	case n > len(arguments) && len(arguments) == 0:
		return nil, fmt.Errorf("unexpected argument %q; %s takes flags only, see --help", flags.Arg(0), name)
	case n > len(arguments):
		return nil, fmt.Errorf("unexpected argument %q after %s, see --help", flags.Arg(len(arguments)), strings.Join(arguments, " "))
	case n < len(arguments):
		return nil, fmt.Errorf("%s is missing: %s %s", arguments[n], name, strings.Join(arguments, " "))
	}
	if err := v.BindPFlags(flags); err != nil {
		return nil, fmt.Errorf("binding the flags: %w", err)
	}
	if *file != "" {
		v.SetConfigFile(*file)
		v.SetConfigType("yaml")
		if err := v.ReadInConfig(); err != nil {
			return nil, fmt.Errorf("reading --options: %w", err)
		}
	}
	values, err := collect(v, options)
	for i, argument := range arguments {
		values[argument] = flags.Arg(i)
	}
	return values, err
}

func collect(v *viper.Viper, options []Option) (Values, error) {
	values, known := Values{}, map[string]bool{"options": true, "version": true}
	var errs []error
	for _, o := range options {
		known[o.Name] = true
		values[o.Name] = v.GetString(o.Name)
		if o.Required && values[o.Name] == "" {
			errs = append(errs, fmt.Errorf("--%s is needed (or $%s): %s", o.Name, o.Env(), o.Usage))
		}
		if o.Bool {
			b, err := strconv.ParseBool(values[o.Name])
			if err != nil {
				errs = append(errs, fmt.Errorf("--%s (or $%s): %q is not true or false", o.Name, o.Env(), values[o.Name]))
			}
			values[o.Name] = strconv.FormatBool(b)
		}
	}
	for _, key := range v.AllKeys() {
		if !known[key] {
			errs = append(errs, fmt.Errorf("--options: unknown option %q; see --help for those there are", key))
		}
	}
	return values, errors.Join(errs...)
}
