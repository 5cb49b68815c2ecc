package serve

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// free returns an address of the loopback that nobody listens on. Somebody else might take it before it is used;
// the kernel hands out its ports in turn, so that it does not come to that.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func options(t *testing.T) Options {
	r := prometheus.NewRegistry()
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "answer", Help: "h"}, func() float64 { return 42 }))
	return Options{
		Listen: free(t), StatusListen: free(t), Metrics: r,
		Ready: func() error { return nil }, Status: func() any { return map[string]int{"answer": 42} },
	}
}

// get asks without keeping the connection.
func get(t *testing.T, url string) (code int, contentType, body string) {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get(url)
	if err != nil {
		t.Error(err)
		return 0, "", ""
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Error(err)
	}
	return r.StatusCode, r.Header.Get("Content-Type"), string(text)
}

func TestEndpoints(t *testing.T) {
	o := options(t)
	var waits atomic.Bool
	o.Ready = func() error {
		if waits.Load() {
			return errors.New("waiting for Godot")
		}
		return nil
	}
	err := Beside(t.Context(), o, func(context.Context) error {
		for _, tt := range []struct {
			url         string
			waits       bool
			code        int
			contentType string
			body        string
		}{
			{o.Listen + "/healthz", true, 200, "text/plain", "ok\n"},
			{o.Listen + "/readyz", true, 503, "text/plain", "waiting for Godot\n"},
			{o.Listen + "/readyz", false, 200, "text/plain", "ok\n"},
			{o.Listen + "/metrics", false, 200, "text/plain", "\nanswer 42\n"},
			{o.Listen + "/status", false, 404, "text/plain", ""},
			{o.StatusListen + "/status", false, 200, "application/json", "{\n  \"answer\": 42\n}\n"},
			{o.StatusListen + "/metrics", false, 404, "text/plain", ""},
		} {
			waits.Store(tt.waits)
			code, contentType, body := get(t, "http://"+tt.url)
			if code != tt.code || !strings.HasPrefix(contentType, tt.contentType) || !strings.Contains(body, tt.body) {
				t.Errorf("%s: %d %s %q, want %d %s %q", tt.url, code, contentType, body, tt.code, tt.contentType, tt.body)
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("Beside = %v", err)
	}
}

func TestRemark(t *testing.T) {
	o := options(t)
	var remark atomic.Value
	o.Remark = func() string { return remark.Load().(string) }
	err := Beside(t.Context(), o, func(context.Context) error {
		for said, want := range map[string]string{"": "ok\n", "on one leg": "ok; on one leg\n"} {
			remark.Store(said)
			if code, _, body := get(t, "http://"+o.Listen+"/readyz"); code != 200 || body != want {
				t.Errorf("%d %q, want %q", code, body, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("Beside = %v", err)
	}
}

func TestStatusThatIsNoJSON(t *testing.T) {
	o := options(t)
	o.Status = func() any { return func() {} }
	err := Beside(t.Context(), o, func(context.Context) error {
		if code, _, body := get(t, "http://"+o.StatusListen+"/status"); code != 500 || !strings.Contains(body, "unsupported type") {
			t.Errorf("%d %q", code, body)
		}
		return nil
	})
	if err != nil {
		t.Errorf("Beside = %v", err)
	}
}

// Serving goes on while work comes to its end, and ends with it.
func TestServesAsLongAsWork(t *testing.T) {
	o := options(t)
	ctx, stop := context.WithCancel(t.Context())
	failure := errors.New("work failed")
	err := Beside(ctx, o, func(ctx context.Context) error {
		stop()
		<-ctx.Done()
		if code, _, _ := get(t, "http://"+o.Listen+"/healthz"); code != 200 {
			t.Errorf("at the end /healthz answers %d", code)
		}
		return failure
	})
	if !errors.Is(err, failure) {
		t.Errorf("Beside = %v", err)
	}
	for _, address := range []string{o.Listen, o.StatusListen} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Errorf("it is still served: %v", err)
			continue
		}
		l.Close()
	}
}

func TestAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, change := range map[string]func(*Options){
		"listen": func(o *Options) { o.Listen = l.Addr().String() },
		"status": func(o *Options) { o.StatusListen = l.Addr().String() },
	} {
		o := options(t)
		change(&o)
		err := Beside(t.Context(), o, func(context.Context) error {
			t.Errorf("%s: work began", name)
			return nil
		})
		if err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
			t.Errorf("%s: Beside = %v, want an error that names %s", name, err, l.Addr())
		}
	}
}

func TestServesNothing(t *testing.T) {
	if err := Beside(t.Context(), Options{}, func(context.Context) error { return nil }); err != nil {
		t.Errorf("Beside = %v", err)
	}
}
