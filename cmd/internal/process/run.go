package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/zapr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/kontena/network-lb/kube/api"
	"github.com/kontena/network-lb/kube/document"
)

// Exit codes of the binaries.
const (
	ExitFailure = 1
	ExitUsage   = 2
)

// Common are the options that every process takes.
var Common = []Option{
	{Name: "log-level", Default: "info", Usage: "debug, info, warn or error"},
	{Name: "kubeconfig", Usage: "kubeconfig file, for a process outside a cluster; empty: the Pod's own account"},
	{Name: "namespace", Default: "kontena-network-lb", Usage: "namespace of the installation"},
	{Name: "last-good", Default: "network-lb-last-good", Usage: "name of the Secret with the accepted configuration, which the controller writes and the speakers follow"},
	{Name: "config", Usage: "configuration file, read once, in place of what is in the cluster"},
}

// Main runs a process until SIGTERM or SIGINT and returns its exit code.
func Main(name, summary string, options []Option, run func(context.Context, Values, *zap.Logger) error) int {
	values, err := Parse(name, summary, append(options, Common...), os.Args[1:], os.Stdout)
	if errors.Is(err, ErrHelp) {
		return 0
	}
	var log *zap.Logger
	if err == nil {
		log, err = logger(values["log-level"])
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return ExitUsage
	}
	if file := values["config"]; file != "" { // before a cluster is looked for: a person has just written it
		if _, err := document.ReadFile(file); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
			return ExitFailure
		}
	}
	defer func() { _ = log.Sync() }() // standard error cannot be synced everywhere
	klog.SetLogger(zapr.NewLogger(log.Named("client-go")))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	defer context.AfterFunc(ctx, stop)() // a second signal ends the process at once
	log.Info("starting", zap.String("process", name), zap.String("version", Version))
	if err := run(ctx, values, log); err != nil {
		log.Error("stopped", zap.Error(err))
		return ExitFailure
	}
	log.Info("stopped")
	return 0
}

func logger(level string) (*zap.Logger, error) {
	l, err := zapcore.ParseLevel(level)
	if err != nil || l > zapcore.ErrorLevel {
		return nil, fmt.Errorf("--log-level: %q is not a level; use debug, info, warn or error", level)
	}
	c := zap.NewProductionConfig()
	c.Level = zap.NewAtomicLevelAt(l)
	c.EncoderConfig.TimeKey = "time"
	c.EncoderConfig.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	c.Sampling = nil // a line that explains an outage must not be sampled away
	c.DisableStacktrace = true
	return c.Build()
}

// Cluster returns a client of the kinds that a speaker needs.
func Cluster(v Values, name string) (api.Client, error) {
	cfg, err := Protobuf(v, name)
	if err != nil {
		return nil, err
	}
	return api.New(cfg)
}

// Protobuf says how to reach the cluster's own kinds, of which it speaks the shorter language too.
func Protobuf(v Values, name string) (*rest.Config, error) {
	cfg, err := restConfig(v, name)
	if err != nil {
		return nil, err
	}
	cfg.ContentType = "application/vnd.kubernetes.protobuf"
	cfg.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	return cfg, nil
}

// Dynamic returns a client for the kinds that the product brings along.
func Dynamic(v Values, name string) (dynamic.Interface, error) {
	cfg, err := restConfig(v, name)
	if err != nil {
		return nil, err
	}
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	return client, nil
}

// AsKubectl is the kubeconfig of a command that goes where kubectl goes: all files of $KUBECONFIG, or ~/.kube/config, or
// in a Pod, where there are none, its own account.
const AsKubectl = "\x00as kubectl" // no file has such a name

// restConfig says how to reach the cluster. The client does not throttle itself: what is sent at the same time is bounded
// by those who send.
func restConfig(v Values, name string) (*rest.Config, error) {
	var cfg *rest.Config
	var err error
	if path := v["kubeconfig"]; path != "" {
		rules := &clientcmd.ClientConfigLoadingRules{ExplicitPath: path}
		if path == AsKubectl {
			rules = clientcmd.NewDefaultClientConfigLoadingRules()
		}
		cfg, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: v["context"]}).ClientConfig()
	} else {
		cfg, err = rest.InClusterConfig()
	}
	if err != nil {
		return nil, fmt.Errorf("finding the cluster: %w; outside a cluster give --kubeconfig", err)
	}
	cfg.QPS = -1
	cfg.UserAgent = name + "/" + Version
	return cfg, nil
}
