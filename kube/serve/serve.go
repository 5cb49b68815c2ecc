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
	// Remark is said by /readyz beside "ok", unless it is empty; nil: nothing is.
	Remark func() string
	// Status returns what /status shows as JSON.
	Status func() any
	// Metrics is what /metrics shows.
	Metrics prometheus.Gatherer
}

// Beside serves while work runs, until work has returned, also after ctx has ended. It returns work's error. An
// address that cannot be listened on is an error before work begins; serving that fails later ends work and is one
// too.
func Beside(ctx context.Context, o Options, work func(context.Context) error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	public, err := listen(o.Listen, o.public())
	if err != nil {
		return err
	}
	defer public.close()
	private, err := listen(o.StatusListen, o.private())
	if err != nil {
		return err
	}
	defer private.close()
	errs := make([]error, 3)
	var wg sync.WaitGroup
	for i, w := range []window{public, private} {
		wg.Go(func() {
			if errs[i+1] = w.serve(); errs[i+1] != nil {
				stop()
			}
		})
	}
	errs[0] = work(ctx)
	public.close()
	private.close()
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
		if o.Remark != nil && o.Remark() != "" {
			fmt.Fprintln(w, "ok;", o.Remark())
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

// window is one address and what is served there. The zero value serves nothing.
type window struct {
	listener net.Listener
	server   *http.Server
}

// listen opens the window; an empty address is not served.
func listen(address string, h http.Handler) (window, error) {
	if address == "" {
		return window{}, nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return window{}, fmt.Errorf("serving HTTP: %w", err)
	}
	return window{l, &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}}, nil
}

// serve returns when the window is closed.
func (w window) serve() error {
	if w.server == nil {
		return nil
	}
	if err := w.server.Serve(w.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving HTTP on %s: %w", w.listener.Addr(), err)
	}
	return nil
}

// close may be called more than once.
func (w window) close() {
	if w.server != nil {
		_ = w.server.Close()
		_ = w.listener.Close() // the server knows it only while it serves
	}
}
