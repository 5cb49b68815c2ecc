// Command lab brings a real Kubernetes cluster up on this machine, in network namespaces, and takes it down.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/kontena/network-lb/lab"
)

const usage = `usage: lab COMMAND

  up [--families WHICH]    bring the lab up: Kubernetes with three nodes, three routers, two clients. WHICH IP families
                           nodes, Pods and Services have: dual (the default), ipv4 or ipv6; a lab that is up with
                           others makes room for this one
  down                     stop it and remove everything
  status                   what runs
  topology                 draw it, as it is up, or would be
  kubectl ARGS...          kubectl as the cluster's operator
  exec HOST CMD...         run a command on a host: %s
  vtysh ROUTER CMD         ask an FRR router: lab vtysh frr-1 show bgp summary
  birdc CMD                ask the BIRD router: lab birdc show protocols
  import TAR [NODE...]     give an image tarball to all nodes, or to some
  logs DIR                 copy all logs to a folder
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit) && len(os.Args) > 1 && passes(os.Args[1]):
		os.Exit(exit.ExitCode()) // the command has said why
	case errors.Is(err, errMisused):
		if wrong := (misused{}); errors.As(err, &wrong) {
			fmt.Fprintln(os.Stderr, "lab:", wrong)
		}
		fmt.Fprintf(os.Stderr, usage, strings.Join(lab.HostNames(), " "))
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

// errMisused asks for the list of commands.
var errMisused = errors.New("no such command")

// misused says what is wrong before the list.
type misused struct{ error }

// Is implements what errors.Is asks.
func (misused) Is(target error) bool { return target == errMisused }

// passes reports whether a command shows another program's output and exit code as they are.
func passes(command string) bool { return command == "kubectl" || command == "exec" }

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errMisused
	}
	options := lab.Options{Log: logger(time.Now())}
	switch command, rest := args[0], args[1:]; command {
	case "up":
		var err error
		if options.Families, err = families(rest); err != nil {
			return err
		}
		_, err = lab.Up(ctx, options)
		return err
	case "down":
		return lab.Down(ctx, options)
	case "topology":
		var f lab.Families
		if c, err := lab.Attach(); err == nil {
			f = c.Families()
		}
		fmt.Print(lab.Topology(f))
		return nil
	case "status", "kubectl", "exec", "vtysh", "birdc", "import", "logs":
		c, err := lab.Attach()
		if err != nil {
			return err
		}
		return inside(ctx, c, command, rest)
	}
	return errMisused
}

// families reads the options of up.
func families(args []string) (f lab.Families, err error) {
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.TextVar(&f, "families", lab.Dual, "")
	if err = flags.Parse(args); err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("up takes no argument %q", flags.Arg(0))
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		return f, errMisused
	case err != nil:
		return f, misused{err}
	}
	return f, nil
}

// inside runs what needs a lab that is up.
func inside(ctx context.Context, c *lab.Cluster, command string, args []string) error {
	switch {
	case command == "status":
		return status(c)
	case command == "kubectl":
		return attached(func(ctx context.Context) (*lab.Cmd, error) { return c.KubectlCommand(ctx, args...) })
	case command == "exec" && len(args) > 1:
		return attached(func(ctx context.Context) (*lab.Cmd, error) { return c.Command(ctx, args[0], args[1:]...) })
	case command == "vtysh" && len(args) > 1:
		return printed(c.FRR(ctx, args[0], strings.Join(args[1:], " ")))
	case command == "birdc" && len(args) > 0:
		return printed(c.BIRD(ctx, strings.Join(args, " ")))
	case command == "import" && len(args) > 0:
		return c.ImportImage(ctx, args[0], args[1:]...)
	case command == "logs" && len(args) == 1:
		return c.SaveLogs(args[0])
	}
	return errMisused
}

// attached runs a command on the terminal. Ctrl-C reaches it from there: what it means is up to the command.
func attached(command func(context.Context) (*lab.Cmd, error)) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cmd, err := command(ctx)
	if err != nil {
		return err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

func printed(out string, err error) error {
	fmt.Print(out)
	return err
}

func status(c *lab.Cluster) error {
	all, err := c.Processes()
	if err != nil {
		return err
	}
	fmt.Printf("families %s\n", c.Families())
	for _, p := range all {
		state := "runs"
		if !p.Alive {
			state = "HAS ENDED"
		}
		fmt.Printf("%-24s %-9s pid %-7d %s\n", p.Name, state, p.PID, p.Log)
	}
	return nil
}

// logger prints lines with the seconds since the start.
func logger(began time.Time) func(string, ...any) {
	return func(format string, args ...any) {
		fmt.Printf("%5.1fs  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
}
