package controller

import (
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kontena/network-lb/config"
	"github.com/kontena/network-lb/kube/document"
)

// The preview says in the same words what the controller then says.
func TestPreview(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		preview := func(text string) error {
			t.Helper()
			cfg, _, err := config.Parse([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			return Preview(t.Context(), c, document.InSecret("system", "last-good"), cfg)
		}
		if err := preview(pool("10.9.0.0/30")); err != nil {
			t.Errorf("before anything was accepted: %v", err)
		}
		c.configure(pool("10.0.0.1-10.0.0.2"))
		r := c.start("a")
		c.add("web")
		settle()
		less := pool("10.9.0.0/30")
		err := preview(less)
		c.configure(less)
		if said := r.Status().Config.Problem; !errors.Is(err, ErrRefused) || said == "" || err.Error() != ErrRefused.Error()+": "+said {
			t.Errorf("the preview is\n%v\nand then\n%s", err, said)
		}
		for _, text := range []string{"release: [main]\n" + less, pool("10.0.0.1", "10.9.0.0/30")} {
			if err := preview(text); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
		c.PrependReactor("list", "services", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, errors.New("connection refused")
		})
		if err := preview(less); err == nil || errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "listing the Services") {
			t.Errorf("without an API server: %v", err)
		}
	})
}

// Only what a status shows can be lost: a Service that waits while no controller runs has nothing.
func TestPreviewOfWaiting(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1-10.0.0.2"))
		if err := c.start("a").end(); err != nil {
			t.Fatal(err)
		}
		c.add("waiting")
		cfg, _, err := config.Parse([]byte(pool("10.0.0.2")))
		if err != nil {
			t.Fatal(err)
		}
		if err := Preview(t.Context(), c, document.InSecret("system", "last-good"), cfg); err != nil {
			t.Error(err)
		}
	})
}
