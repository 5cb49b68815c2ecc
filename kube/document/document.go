// Package document follows the product's configuration document, in a ConfigMap or a file, and hands on every
// version of it that is valid. A version that is not valid is reported and changes nothing: the last good one
// stays in force.
package document

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/kontena/network-lb/config"
)

// Key is the key of the ConfigMap under which the document stands.
const Key = "config.yaml"

// Options say where the document is and who wants it.
type Options struct {
	// File is read once if it is set; it takes the place of the ConfigMap.
	File string
	// Namespace and ConfigMap name the ConfigMap.
	Namespace, ConfigMap string
	// Apply takes a valid document. It is called from one goroutine at a time.
	Apply func(config.Config)
	// Refused is told of every version that is not valid, the ConfigMap being nil where there is none. It is called
	// like Apply; nil: nobody is told.
	Refused func(*corev1.ConfigMap, error)
	Logger  *zap.Logger
}

// Source follows one document. Make it with Follow.
type Source struct {
	opts Options

	turn sync.Mutex // held while a version is looked at, so that they take effect in their order
	last *version   // looked at last; nil: there is no ConfigMap, or it was not looked at

	mu    sync.Mutex
	stale bool  // the document is missing or not valid
	good  bool  // a valid document was applied once
	err   error // why it is stale
}

// version is what the ConfigMap says.
type version struct {
	text  string
	found bool
}

// Follow reads the document and then follows it until ctx ends. It returns an error when a file cannot be
// read or is not valid; a ConfigMap that is missing or not valid is waited for instead.
func Follow(ctx context.Context, client kubernetes.Interface, opts Options) (*Source, error) {
	if opts.Logger == nil {
		opts.Logger = zap.NewNop()
	}
	s := &Source{opts: opts}
	if opts.File != "" {
		return s, s.readFile()
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(opts.Namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector("metadata.name", opts.ConfigMap).String()
		}))
	informer := factory.Core().V1().ConfigMaps().Informer()
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { s.changed(o) },
		UpdateFunc: func(_, o any) { s.changed(o) },
		DeleteFunc: func(any) { s.gone(fmt.Errorf("the ConfigMap %s/%s was deleted", opts.Namespace, opts.ConfigMap)) },
	})
	if err != nil {
		return nil, fmt.Errorf("watching the configuration: %w", err)
	}
	factory.Start(ctx.Done())
	go func() {
		if cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) && len(informer.GetStore().List()) == 0 {
			s.missing(fmt.Errorf("there is no ConfigMap %s/%s; the chart makes it", opts.Namespace, opts.ConfigMap))
		}
	}()
	return s, nil
}

func (s *Source) readFile() error {
	cfg, warnings, err := ReadFile(s.opts.File)
	if err != nil {
		return err
	}
	s.accept(cfg, warnings)
	return nil
}

// ReadFile reads a document from a file. The error names every mistake in it, each on a line.
func ReadFile(name string) (config.Config, []config.Warning, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return config.Config{}, nil, fmt.Errorf("reading the configuration: %w", err)
	}
	cfg, warnings, err := config.Parse(data)
	if err != nil {
		return config.Config{}, warnings, fmt.Errorf("%s is not a valid configuration:\n%w", name, err)
	}
	if !cfg.Enabled {
		return config.Config{}, warnings, fmt.Errorf("%s: %w", name, errDisabled)
	}
	return cfg, warnings, nil
}

// errDisabled refuses a document with enabled: false, which is meant for the chart: it then takes the processes
// away, and what they have announced until then goes with them. In force it would take all addresses from the
// Services.
var errDisabled = errors.New("enabled: false is carried out by the chart, which removes the processes; until then nothing changes")

func (s *Source) changed(o any) {
	cm, ok := o.(*corev1.ConfigMap)
	if !ok {
		return
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	var v version
	v.text, v.found = cm.Data[Key]
	if s.last != nil && *s.last == v {
		return
	}
	s.last = &v
	if !v.found {
		s.refuse(cm, fmt.Errorf("the ConfigMap %s/%s has no key %q", cm.Namespace, cm.Name, Key))
		return
	}
	cfg, warnings, err := config.Parse([]byte(v.text))
	if err == nil && !cfg.Enabled {
		err = errDisabled
	}
	if err != nil {
		s.refuse(cm, err)
		return
	}
	s.accept(cfg, warnings)
}

// gone says that there is no document any more. Whatever comes next is looked at, also the same text again.
func (s *Source) gone(err error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.last = nil
	s.refuse(nil, err)
}

// missing says that there was no document when the cluster was read, unless one has come since.
func (s *Source) missing(err error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.last == nil && !s.Stale() {
		s.refuse(nil, err)
	}
}

func (s *Source) accept(cfg config.Config, warnings []config.Warning) {
	for _, w := range warnings {
		s.opts.Logger.Warn("configuration", zap.String("warning", fmt.Sprint(w)))
	}
	s.mu.Lock()
	s.stale, s.good, s.err = false, true, nil
	s.mu.Unlock()
	s.opts.Logger.Info("configuration applied", zap.Int("pools", len(cfg.Pools)), zap.Int("peers", len(cfg.Peers)))
	s.opts.Apply(cfg)
}

func (s *Source) refuse(cm *corev1.ConfigMap, err error) {
	s.mu.Lock()
	s.stale, s.err = true, err
	good := s.good
	s.mu.Unlock()
	s.opts.Logger.Error("configuration refused", zap.Bool("last_good_in_force", good), zap.Error(err))
	if s.opts.Refused != nil {
		s.opts.Refused(cm, err)
	}
}

// Ready returns nil once a valid document was applied, else an error that says what is missing.
func (s *Source) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.good:
		return nil
	case s.err != nil:
		return fmt.Errorf("no valid configuration yet: %w", s.err)
	}
	return errors.New("the configuration has not been read yet")
}

// Stale reports whether the current document is missing or not valid, so that an older one, or none, is in
// force.
func (s *Source) Stale() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stale
}

// StaleDesc describes the metric that says what Stale says.
var StaleDesc = prometheus.NewDesc("network_lb_config_stale",
	"1 while the configuration document is missing or not valid, so that an older one or none is in force.", nil, nil)
