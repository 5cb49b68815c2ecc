package controller

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/kontena/network-lb/kube/reports"
)

// report returns an AddressPool; nil: there is none.
func (c *cluster) report(name string) *reports.AddressPool {
	c.t.Helper()
	u, err := c.dynamic.Resource(reports.AddressPools).Get(c.t.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		c.t.Fatal(err)
	}
	pool, err := reports.ToAddressPool(u)
	if err != nil {
		c.t.Fatal(err)
	}
	return &pool
}

// reported counts the writes of reports.
func (c *cluster) reported() int {
	n := 0
	for _, a := range c.dynamic.Actions() {
		if slices.Contains([]string{"create", "update", "delete"}, a.GetVerb()) {
			n++
		}
	}
	c.dynamic.ClearActions()
	return n
}

// wantReport checks a report as "in use/size free pending remembered refused", for IPv4.
func (c *cluster) wantReport(name, want string) {
	c.t.Helper()
	r := c.report(name)
	if r == nil {
		c.t.Fatalf("there is no report of %s", name)
	}
	got := fmt.Sprintf("%d/%s %s %d %d %d", r.Status.IPv4.InUse, r.Status.IPv4.Size, r.Status.IPv4.Free, r.Status.Pending,
		len(r.Status.Remembered), len(r.Status.Refused))
	if got != want {
		c.t.Errorf("the report of %s says %q, want %q", name, got, want)
	}
}

// pass lets the time between two reports pass.
func pass() {
	time.Sleep(reportInterval)
	settle()
}

func TestReports(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1-10.0.0.2", "fd00::/64"))
		c.start("a")
		c.add("first")
		c.add("second")
		c.add("third")
		pass()
		c.wantReport("main", "2/2 0 1 0 0")
		r := c.report("main")
		if r.Status.Protocol != "layer2" || r.Status.Generation != 1 || r.Status.IPv6.Size != "18446744073709551615" ||
			len(r.OwnerReferences) != 1 || r.OwnerReferences[0].UID != "role" {
			t.Errorf("the report is %+v", r)
		}
		c.reported()
		time.Sleep(10 * time.Minute)
		if n := c.reported(); n > 0 {
			t.Errorf("%d writes in ten quiet minutes", n)
		}

		// A hand that changes a report, or deletes it, changes nothing for long.
		r.Status.IPv4.InUse = 77
		u, err := r.Unstructured()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.dynamic.Resource(reports.AddressPools).Update(t.Context(), u, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		pass()
		c.wantReport("main", "2/2 0 1 0 0")
		if err := c.dynamic.Resource(reports.AddressPools).Delete(t.Context(), "main", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		pass()
		c.wantReport("main", "2/2 0 1 0 0")

		c.configure(pool("10.9.0.0/30"))
		c.wantReport("main", "2/2 0 1 0 2")
		if got := c.report("main").Status.Refused[0]; got != (reports.Loss{Service: "prod/first", Address: "10.0.0.1", Why: "10.0.0.1 is in no pool"}) {
			t.Errorf("refused is %+v", got)
		}
		c.configure(strings.Replace(pool("10.0.0.1-10.0.0.3"), "main", "other", 1))
		pass()
		c.wantReport("other", "3/3 0 0 0 0")
		if c.report("main") != nil {
			t.Error("the report outlives its pool")
		}
	})
}

// A burst is two reports: one at its first change, one for all the rest.
func TestReportsOfABurst(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.0/24"))
		c.start("a")
		pass()
		c.reported()
		for i := range 200 {
			c.add(fmt.Sprint("web-", i))
		}
		pass()
		c.wantReport("main", "200/256 56 0 0 0")
		if n := c.reported(); n > 2 {
			t.Errorf("%d reports of one burst", n)
		}
	})
}

// A release is written down before the address is anybody else's, and a successor remembers it.
func TestReleasesAreRemembered(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.configure(pool("10.0.0.1-10.0.0.9"))
		a := c.start("a")
		c.add("first")
		c.add("second")
		pass()
		c.remove("first")
		c.wantReport("main", "2/9 7 0 2 0") // for its Service, and as one that cools; the rest is reported in its time
		if got := c.report("main").Status.Remembered; got[0].Address != "10.0.0.1" || got[1].Service != "prod/first" {
			t.Errorf("remembered is %+v", got)
		}
		if err := a.end(); err != nil {
			t.Fatal(err)
		}
		c.start("b")
		c.add("third")
		settle()
		c.want("third", "10.0.0.3 Allocated") // 10.0.0.1 cools
		c.add("first")
		settle()
		c.want("first", "10.0.0.1 Allocated")
		pass()
		c.wantReport("main", "3/9 6 0 0 0")
	})
}

// An address that was released goes to another Service only when the release is written down, or cannot be.
func TestReleaseBeforeItIsGivenAway(t *testing.T) {
	for _, fail := range []bool{false, true} {
		inBubble(t, func(t *testing.T, c *cluster) {
			c.configure(pool("10.0.0.1"))
			c.start("a")
			c.add("first")
			settle()
			c.add("second")
			settle()
			hold := make(chan struct{})
			c.dynamic.PrependReactor("update", "addresspools", func(clienttesting.Action) (bool, runtime.Object, error) {
				<-hold
				if fail {
					return true, nil, errors.New("no space left")
				}
				return false, nil, nil
			})
			if err := c.CoreV1().Services("prod").Delete(t.Context(), "first", metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(reportPatience / 2)
			synctest.Wait()
			c.want("second", "- PoolExhausted")
			close(hold)
			settle()
			c.want("second", "10.0.0.1 Allocated")
		})
	}
}

// Without the CustomResourceDefinition everything works but the reports.
func TestWithoutTheResource(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		c.dynamic.PrependReactor("list", "addresspools", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewNotFound(reports.AddressPools.GroupResource(), "")
		})
		c.configure(pool("10.0.0.1"))
		c.start("a")
		c.add("first")
		settle()
		c.want("first", "10.0.0.1 Allocated")
		c.remove("first")
		if n := c.reported(); n > 0 {
			t.Errorf("%d reports", n)
		}
	})
}

// The report of another installation is left alone.
func TestReportOfAnother(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		theirs := reports.AddressPool{ObjectMeta: metav1.ObjectMeta{
			Name: "main", OwnerReferences: []metav1.OwnerReference{{Kind: "ClusterRole", Name: "other-controller", UID: "other"}},
		}}
		u, err := theirs.Unstructured()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.dynamic.Resource(reports.AddressPools).Create(t.Context(), u, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		c.reported()
		c.configure("address_pools:\n- {name: main, protocol: layer2, addresses: [10.0.0.1]}\n- {name: ours, protocol: layer2, addresses: [10.0.1.0/24]}\n")
		c.start("a")
		pass()
		if n := c.reported(); n < 1 || c.report("ours") == nil || c.report("main").OwnerReferences[0].UID != "other" {
			t.Errorf("%d writes, %+v", n, c.report("main"))
		}
	})
}

// latest keeps the releases of last, of each one the last, and not more than there is room for.
func TestLatest(t *testing.T) {
	all := make([]reports.Release, mostReleases+10)
	for i := range all {
		all[i] = reports.Release{Address: fmt.Sprintf("%05d", i), Time: metav1.NewMicroTime(time.Unix(int64(i), 0))}
	}
	if got := latest(all); len(got) != mostReleases || got[0].Address != "00010" || got[mostReleases-1].Address != fmt.Sprintf("%05d", mostReleases+9) {
		t.Errorf("%d from %s to %s", len(got), got[0].Address, got[len(got)-1].Address)
	}
	if got := latest([]reports.Release{all[1], all[0], {Address: all[1].Address}}); len(got) != 2 || got[0] != all[0] || got[1] != all[1] {
		t.Errorf("%+v", got)
	}
	for i := range all {
		all[i].Service = strings.Repeat("s", 180)
	}
	data, err := json.Marshal(latest(all))
	if err != nil || len(data) > mostBytes+2 || len(data) < mostBytes*9/10 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}
