// Package serve is the window through which people and machines look into a process: liveness, readiness,
// metrics and status over HTTP.
package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Options are what a process has to show.
type Options struct {
	// Listen is the address of /healthz, /readyz and /metrics; StatusListen that of /status. Empty: not served.
	Listen, StatusListen string
	// Ready returns nil when the process does its work, else what it waits for.
	Ready func() error
	// Status returns what /status shows as JSON.
	Status func() any
	// Metrics is what /metrics shows.
	Metrics prometheus.Gatherer
}

// Beside serves while work runs. It returns when work does, with its error; an address that cannot be listened
// on ends work and is an error too.
func Beside(ctx context.Context, o Options, work func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	errs := make([]error, 3)
	var wg sync.WaitGroup
	for i, task := range []func() error{
		func() error { return work(ctx) },
		func() error { return listen(ctx, o.Listen, o.public()) },
		func() error { return listen(ctx, o.StatusListen, o.private()) },
	} {
		wg.Go(func() {
			if errs[i] = task(); errs[i] != nil || i == 0 {
				stop()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (o Options) public() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := o.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.Handle("/metrics", promhttp.HandlerFor(o.Metrics, promhttp.HandlerOpts{}))
	return mux
}

func (o Options) private() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/status", func(w http.ResponseWriter, _ *http.Request) {
		text, err := json.MarshalIndent(o.Status(), "", "  ")
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(append(text, '\n')) // the client has gone: there is nobody to tell
	})
	return mux
}

// listen serves on the address until ctx ends; an empty one is not served.
func listen(ctx context.Context, address string, h http.Handler) error {
	if address == "" {
		return nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("serving HTTP: %w", err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving HTTP on %s: %w", address, err)
	}
	return nil
}
