package e2e

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/kontena/network-lb/lab"
	"github.com/kontena/network-lb/lab/addon"
)

// patience is how long `eventually` and `capture` try. It decides nothing but when a broken story gives up.
const patience = 60 * time.Second

// command is a word of the stories: what it prints, or why it failed.
type command func(ctx context.Context, args []string) (string, error)

// commands are the words, besides testscript's own.
func commands(c *lab.Cluster) map[string]command {
	return map[string]command{
		// install [-chart FOLDER] VALUES [key=value...]: helm upgrade --install --wait, of the working copy's chart
		// if none is named.
		"install": func(ctx context.Context, args []string) (string, error) { return addon.Install(ctx, c, source(args)) },
		// template [-chart FOLDER] VALUES [key=value...]: helm template, with hooks.
		"template": func(ctx context.Context, args []string) (string, error) { return addon.Template(ctx, c, source(args)) },
		// rollback: helm rollback --wait, to the revision before.
		"rollback": func(context.Context, []string) (string, error) { return addon.Rollback(c) },
		// uninstall: helm uninstall --wait.
		"uninstall": func(context.Context, []string) (string, error) { return "", addon.Uninstall(c) },
		// objects: what the cluster holds in the addon's namespace or in none, a line each.
		"objects": func(ctx context.Context, _ []string) (string, error) { return objects(ctx, c) },
		// kubectl ARG...
		"kubectl": func(ctx context.Context, args []string) (string, error) { return c.Kubectl(ctx, args...) },
		// netlb ARG...
		"netlb": func(ctx context.Context, args []string) (string, error) { return netlb(ctx, c, args) },
		// on HOST COMMAND...: a command on a host of the lab.
		"on": func(ctx context.Context, args []string) (string, error) { return c.Exec(ctx, args[0], args[1:]...) },
		// vtysh ROUTER COMMAND...
		"vtysh": func(ctx context.Context, args []string) (string, error) {
			return c.FRR(ctx, args[0], strings.Join(args[1:], "\n"))
		},
		// birdc COMMAND
		"birdc": func(ctx context.Context, args []string) (string, error) { return c.BIRD(ctx, args[0]) },
		// signal NODE SIGNAL: sends the speaker of a node a signal.
		"signal": func(ctx context.Context, args []string) (string, error) { return signal(ctx, c, args[0], args[1]) },
		// answers ADDRESS: the nodes whose MACs are the answers, by ARP or NDP, for the address on the LAN, a line each.
		"answers": func(ctx context.Context, args []string) (string, error) { return answers(ctx, c, args[0]) },
	}
}

// needs is how many words each command takes at least.
var needs = map[string]int{"install": 1, "template": 1, "kubectl": 1, "netlb": 1, "on": 2, "vtysh": 2, "birdc": 1, "answers": 1, "signal": 2}

func scriptCommands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	run := func(ts *testscript.TestScript, args []string) (string, error) {
		words := commands(theCluster) // the one that is up now
		if len(args) == 0 || words[args[0]] == nil {
			ts.Fatalf("not a command of the stories: %q", args)
		}
		if len(args)-1 < needs[args[0]] {
			ts.Fatalf("%s takes at least %d arguments", args[0], needs[args[0]])
		}
		for i := range args[1:] { // files of the story
			if name := ts.MkAbs(args[i+1]); strings.HasSuffix(name, ".yaml") {
				args = slices.Clone(args)
				args[i+1] = name
			}
		}
		return words[args[0]](context.Background(), args[1:])
	}
	out := map[string]func(ts *testscript.TestScript, neg bool, args []string){}
	for name := range commands(nil) {
		out[name] = func(ts *testscript.TestScript, neg bool, args []string) {
			text, err := run(ts, append([]string{name}, args...))
			fmt.Fprint(ts.Stdout(), text)
			if err != nil {
				fmt.Fprintln(ts.Stderr(), err)
			}
			switch {
			case neg && err == nil:
				ts.Fatalf("%s succeeded", name)
			case !neg && err != nil:
				ts.Fatalf("%v", err)
			}
		}
	}
	// cut: the Pods' way to the API server, for new connections, until the story ends or says `mend`.
	out["cut"] = func(ts *testscript.TestScript, _ bool, _ []string) {
		ts.Defer(func() { ts.Check(mend(theCluster)) })
		ts.Check(cut(theCluster))
	}
	out["mend"] = func(ts *testscript.TestScript, _ bool, _ []string) { ts.Check(mend(theCluster)) }
	// families WHICH: the first line of a story for a cluster of one family, ipv4 or ipv6.
	out["families"] = func(ts *testscript.TestScript, _ bool, args []string) {
		if f := theCluster.Families().String(); len(args) != 1 || args[0] != f {
			ts.Fatalf("the cluster has the families %s, not %q: this has to be the story's first line", f, args)
		}
	}
	// unplug HOST: takes its cable out of the LAN's switch, until the story ends or says `plug`.
	out["unplug"] = func(ts *testscript.TestScript, _ bool, args []string) {
		ts.Defer(func() { ts.Check(port(args[0], "up")) })
		ts.Check(port(args[0], "down"))
	}
	out["plug"] = func(ts *testscript.TestScript, _ bool, args []string) { ts.Check(port(args[0], "up")) }
	// freeze HOST: stops every process there but those of Pods with a network of their own, until the story ends or says
	// `thaw`. Its kernel goes on.
	out["freeze"] = func(ts *testscript.TestScript, _ bool, args []string) {
		ts.Defer(func() { ts.Check(signalAll(theCluster, args[0], "CONT")) })
		ts.Check(signalAll(theCluster, args[0], "STOP"))
	}
	out["thaw"] = func(ts *testscript.TestScript, _ bool, args []string) {
		ts.Check(signalAll(theCluster, args[0], "CONT"))
	}
	// split HOST...: takes the cables of these hosts to a switch of their own, until the story ends or says `join`.
	out["split"] = func(ts *testscript.TestScript, _ bool, args []string) {
		ts.Defer(func() { ts.Check(join()) })
		ts.Check(split(args))
	}
	out["join"] = func(ts *testscript.TestScript, _ bool, _ []string) { ts.Check(join()) }
	// rules HOST [FILE]: has a host's nftables follow the chains in a file, until the story ends; without a file none.
	out["rules"] = func(ts *testscript.TestScript, _ bool, args []string) {
		chains := ""
		if len(args) > 1 {
			chains = ts.ReadFile(args[1])
		}
		ts.Defer(func() { ts.Check(follow(theCluster, args[0], "")) })
		ts.Check(follow(theCluster, args[0], chains))
	}
	// watch HOST FIRST-LAST: asks by ARP who has these addresses, until the story ends, and takes note of who answers.
	watchers := map[string]*watcher{}
	out["watch"] = func(ts *testscript.TestScript, _ bool, args []string) {
		addrs, err := addresses(args[1])
		ts.Check(err)
		w, err := watchFrom(args[0], addrs)
		ts.Check(err)
		watchers[args[0]] = w
		ts.Defer(w.close)
	}
	// watched HOST [LIMIT]...: what was seen since the watching began, or this was said last. The limits are how long an
	// address may be without an answer (gap), have answers of two nodes at a time (double), or have them still after the
	// beginning (settled), how many frames a host may send in a second to announce addresses (rate), and that none may move
	// (still).
	out["watched"] = func(ts *testscript.TestScript, _ bool, args []string) {
		limits, err := readLimits(args[1:])
		ts.Check(err)
		text, err := watchers[args[0]].report(limits)
		fmt.Fprint(ts.Stdout(), text)
		ts.Check(err)
	}
	// load NAME HOST ADDRESS [NAME HOST ADDRESS]...: 200 new connections a second from a host to port 80 of an address, with a
	// request each, and 50 that stay and ask five times a second, until the story ends.
	loads := map[string]*load{}
	out["load"] = func(ts *testscript.TestScript, _ bool, args []string) {
		started, err := startLoads(theCluster, args)
		for name, l := range started {
			loads[name] = l
			ts.Defer(l.stop)
		}
		ts.Check(err)
	}
	// loaded NAME [failed=N] [cut=N] [broken=N]: what came of it since it began, or this was said last: so many new
	// connections that did not come about, requests on others that had no answer, and long-lived ones broken, at most.
	out["loaded"] = func(ts *testscript.TestScript, _ bool, args []string) {
		got, err := loads[args[0]].count()
		ts.Check(err)
		fmt.Fprint(ts.Stdout(), got)
		ts.Check(got.within(args[1:]))
	}
	// listen HOST COMMAND...: runs a command until the story ends, such as ip monitor route; `heard` prints what it has
	// said so far on that host.
	ears := map[string]*ear{}
	out["listen"] = func(ts *testscript.TestScript, _ bool, args []string) {
		e, err := listen(theCluster, args[0], args[1:]...)
		ts.Check(err)
		ears[args[0]] = e
		ts.Defer(e.stop)
	}
	out["heard"] = func(ts *testscript.TestScript, _ bool, args []string) { fmt.Fprint(ts.Stdout(), ears[args[0]]) }
	// password ROUTER ADDRESS PASSWORD: what an FRR router wants from a neighbour, until the story ends.
	out["password"] = func(ts *testscript.TestScript, _ bool, args []string) {
		r, known := lab.HostNamed(args[0])
		ts.Check(known)
		ts.Check(wantPassword(theCluster, r, args[1], args[2]))
		ts.Defer(func() { ts.Check(forgetPassword(theCluster, r, args[1])) })
	}
	boots(out)
	// eventually [!] PATTERN COMMAND...: until what the command prints matches; with !, until it does not.
	out["eventually"] = func(ts *testscript.TestScript, neg bool, args []string) {
		want := true
		if args[0] == "!" {
			want, args = false, args[1:]
		}
		pattern := compile(ts, args[0])
		until(ts, args, func() (string, bool) {
			text, err := run(ts, args[1:])
			return fmt.Sprintf("%s(%v)", text, err), pattern.MatchString(text) == want && (err == nil || !want)
		})
	}
	// same FILE COMMAND...: until the command prints what is in the file.
	out["same"] = func(ts *testscript.TestScript, neg bool, args []string) {
		want := ts.ReadFile(args[0])
		until(ts, args, func() (string, bool) {
			text, err := run(ts, args[1:])
			return fmt.Sprintf("%s(%v)", text, err), text == want && err == nil
		})
	}
	// capture VARIABLE PATTERN COMMAND...: until it matches, then set the variable to the pattern's group.
	out["capture"] = func(ts *testscript.TestScript, neg bool, args []string) {
		pattern := compile(ts, args[1])
		until(ts, args, func() (string, bool) {
			text, err := run(ts, args[2:])
			found := pattern.FindStringSubmatch(text)
			if len(found) < 2 {
				return fmt.Sprintf("%s(%v)", text, err), false
			}
			ts.Setenv(args[0], found[1])
			return text, true
		})
	}
	return out
}

func compile(ts *testscript.TestScript, pattern string) *regexp.Regexp {
	re, err := regexp.Compile("(?m)" + pattern)
	ts.Check(err)
	return re
}

// until polls; the story fails when patience has run out.
func until(ts *testscript.TestScript, args []string, try func() (string, bool)) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		text, done := try()
		if done {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%q: not within %s; the last answer was\n%s", args, patience, text)
		}
	}
}
