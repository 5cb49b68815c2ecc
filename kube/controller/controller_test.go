package controller

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func TestAssigns(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.0/30"))
		c.start("a")
		c.add("web")
		settle()
		c.want("web", "10.0.0.0 Allocated")
		c.wantEvents("web", "Allocated")
		if got := c.written(); len(got) != 1 {
			t.Errorf("written %q, want prod/web once", got)
		}
		for range 3 {
			c.change("web", func(s *corev1.Service) { s.Labels = map[string]string{"at": time.Now().String()} })
			c.configure(pool("10.0.0.0/30") + "# " + time.Now().String())
		}
		time.Sleep(time.Minute)
		if got := c.written(); got != nil {
			t.Errorf("with nothing to change %q was written", got)
		}
		c.wantEvents("web", "Allocated")
	})
}
