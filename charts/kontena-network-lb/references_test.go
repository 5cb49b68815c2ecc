package chart_test

import (
	"encoding/json"
	"net"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	v1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/kontena/network-lb/config"
)

// TestReferences follows each name and each selector in an object to the object that it means.
func TestReferences(t *testing.T) {
	for _, file := range []string{"testdata/good/addon.yaml", "testdata/good/passwords.yaml", "testdata/everything.yaml"} {
		t.Run(path.Base(file), func(t *testing.T) {
			values := readValues(t, file)
			r := references{t: t, all: objects(t, mustRender(t, values)), users: usersAccounts(values)}
			for _, one := range r.all {
				r.check(one)
			}
		})
	}
}

// usersAccounts are the ServiceAccounts that the chart is not to create.
func usersAccounts(values map[string]any) (names []string) {
	for _, component := range []string{"controller", "speaker"} {
		own, _ := values[component].(map[string]any)
		account, _ := own["service_account"].(map[string]any)
		if account["create"] == false {
			names = append(names, account["name"].(string))
		}
	}
	return names
}

type references struct {
	t     *testing.T
	all   []object
	users []string // names of ServiceAccounts that are there already
}

func (r references) check(one object) {
	switch o := one.(type) {
	case *rbacv1.ClusterRoleBinding:
		find[*rbacv1.ClusterRole](r.t, r.all, o.RoleRef.Name)
		r.subject(o.Subjects, o.Name)
	case *rbacv1.RoleBinding:
		find[*rbacv1.Role](r.t, r.all, o.RoleRef.Name)
		r.subject(o.Subjects, o.Name)
	case *appsv1.Deployment:
		r.selects(o, o.Spec.Selector, o.Name)
		r.pods(o.Spec.Template.Spec)
	case *appsv1.DaemonSet:
		r.selects(o, o.Spec.Selector, o.Name)
		r.pods(o.Spec.Template.Spec)
	case *batchv1.Job:
		r.pods(o.Spec.Template.Spec)
		find[*corev1.ConfigMap](r.t, r.all, o.Spec.Template.Spec.Volumes[0].ConfigMap.Name)
	case *policyv1.PodDisruptionBudget:
		r.selects(o, o.Spec.Selector, release+"-controller")
	case *networkingv1.NetworkPolicy:
		r.selects(o, &o.Spec.PodSelector, release+"-controller")
		r.port(release+"-controller", o.Spec.Ingress[0].Ports[0].Port.String())
	case *corev1.Service:
		r.selects(o, &v1.LabelSelector{MatchLabels: o.Spec.Selector}, release+"-controller", release+"-speaker", release+"-guard")
		r.port(release+"-controller", o.Spec.Ports[0].TargetPort.String())
		r.port(release+"-speaker", o.Spec.Ports[0].TargetPort.String())
	case *corev1.ConfigMap:
		r.document(o.Data["config.yaml"])
	case *unstructured.Unstructured:
		r.monitor(o)
	case *coordinationv1.Lease:
		component, flag := release+"-controller", "--lease="+o.Name
		if slots, _, numbered := strings.Cut(o.Name, "-drain-"); numbered {
			component, flag = release+"-speaker", "--drain-slots="+slots+"-drain"
		}
		if args := r.templates()[component].Spec.Containers[0].Args; !slices.Contains(args, flag) {
			r.t.Errorf("nobody takes the Lease %s: %v", o.Name, args)
		}
	case *rbacv1.ClusterRole, *rbacv1.Role, *corev1.ServiceAccount, *corev1.Secret, *apiextensionsv1.CustomResourceDefinition:
	default:
		r.t.Errorf("nobody checks what the %T %s refers to", o, o.GetName())
	}
}

// subject holds a binding to the ServiceAccount that the Pods of its component run as.
func (r references) subject(subjects []rbacv1.Subject, component string) {
	r.t.Helper()
	if len(subjects) != 1 || subjects[0].Namespace != namespace {
		r.t.Fatalf("%s binds %v", component, subjects)
	}
	r.account(subjects[0].Name)
	if runs := r.templates()[component].Spec.ServiceAccountName; runs != subjects[0].Name {
		r.t.Errorf("%s runs as %s and its permissions are those of %s", component, runs, subjects[0].Name)
	}
}

func (r references) account(name string) {
	r.t.Helper()
	if !slices.Contains(r.users, name) {
		find[*corev1.ServiceAccount](r.t, r.all, name)
	}
}

func (r references) pods(pod corev1.PodSpec) {
	r.t.Helper()
	r.account(pod.ServiceAccountName)
	if pod.AutomountServiceAccountToken == nil || !*pod.AutomountServiceAccountToken {
		r.t.Errorf("%s has no token", pod.Containers[0].Name)
	}
	args := pod.Containers[0].Args
	if name := option(args, "config-map"); name != "" {
		find[*corev1.ConfigMap](r.t, r.all, name)
	}
	find[*corev1.Secret](r.t, r.all, option(args, "last-good"))
	for _, mount := range pod.Containers[0].VolumeMounts {
		if !slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name }) {
			r.t.Errorf("%s mounts %s, which is no volume", pod.Containers[0].Name, mount.Name)
		}
	}
}

// document follows the peers' references to the Secret of the chart.
func (r references) document(text string) {
	r.t.Helper()
	c, _, err := config.Parse([]byte(text))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, peer := range c.Peers {
		if peer.Password != "" {
			r.t.Errorf("the document has the password of peer %s", peer.Name)
		}
		if peer.PasswordSecret.Name != release+"-peers" {
			continue
		}
		if len(find[*corev1.Secret](r.t, r.all, release+"-peers").Data[peer.PasswordSecret.Key]) == 0 {
			r.t.Errorf("the Secret has no %s for peer %s", peer.PasswordSecret.Key, peer.Name)
		}
	}
}

func (r references) monitor(o *unstructured.Unstructured) {
	r.t.Helper()
	var m struct {
		Spec struct {
			Selector                       v1.LabelSelector
			Endpoints, PodMetricsEndpoints []struct{ Port string }
		}
	}
	text, err := o.MarshalJSON()
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	if kind(o) == "PodMonitor" {
		r.selects(o, &m.Spec.Selector, release+"-controller", release+"-speaker")
		r.port(release+"-controller", m.Spec.PodMetricsEndpoints[0].Port)
		r.port(release+"-speaker", m.Spec.PodMetricsEndpoints[0].Port)
		return
	}
	service := find[*corev1.Service](r.t, r.all, release+"-metrics")
	if selector, err := v1.LabelSelectorAsSelector(&m.Spec.Selector); err != nil || !selector.Matches(labels.Set(service.Labels)) {
		r.t.Errorf("the ServiceMonitor selects %v and not %v: %v", m.Spec.Selector, service.Labels, err)
	}
	if want := m.Spec.Endpoints[0].Port; service.Spec.Ports[0].Name != want {
		r.t.Errorf("the Service has no port %s", want)
	}
}

// selects holds a selector to the Pods that it is to select: those of these components, and no others.
func (r references) selects(o object, given *v1.LabelSelector, want ...string) {
	r.t.Helper()
	selector, err := v1.LabelSelectorAsSelector(given)
	if err != nil {
		r.t.Fatal(err)
	}
	for name, pod := range r.templates() {
		if got := selector.Matches(labels.Set(pod.Labels)); got != slices.Contains(want, name) {
			r.t.Errorf("%s %s selects %s, which selects the pods of %s: %v", kind(o), o.GetName(), selector, name, got)
		}
	}
}

func (r references) port(component, name string) {
	r.t.Helper()
	container := r.templates()[component].Spec.Containers[0]
	i := slices.IndexFunc(container.Ports, func(p corev1.ContainerPort) bool { return p.Name == name })
	if i < 0 {
		r.t.Fatalf("%s has no port %s", component, name)
	}
	if _, port, _ := net.SplitHostPort(option(container.Args, "listen")); port != strconv.Itoa(int(container.Ports[i].ContainerPort)) {
		r.t.Errorf("%s listens on %s, its port %s is %d", component, port, name, container.Ports[i].ContainerPort)
	}
}

// templates are those of all Pods, by the name of the object that has them.
func (r references) templates() map[string]corev1.PodTemplateSpec {
	found := map[string]corev1.PodTemplateSpec{}
	for _, one := range r.all {
		switch o := one.(type) {
		case *appsv1.Deployment:
			found[o.Name] = o.Spec.Template
		case *appsv1.DaemonSet:
			found[o.Name] = o.Spec.Template
		case *batchv1.Job:
			found[o.Name] = o.Spec.Template
		}
	}
	return found
}

// option is the value of a flag.
func option(args []string, name string) string {
	for _, arg := range args {
		if value, ok := strings.CutPrefix(arg, "--"+name+"="); ok {
			return value
		}
	}
	return ""
}

// TestRolesNameWhatFlagsName: the Lease, the ConfigMap, the Secret and the ClusterRole that a program is told to use are
// those that it may use.
func TestRolesNameWhatFlagsName(t *testing.T) {
	all := objects(t, mustRender(t, readValues(t, "testdata/good/addon.yaml")))
	for component, pod := range (references{t: t, all: all}).templates() {
		for flag, resource := range map[string]string{"lease": "leases", "config-map": "configmaps", "last-good": "secrets", "membership": "secrets"} {
			name := option(pod.Spec.Containers[0].Args, flag)
			named := slices.ContainsFunc(find[*rbacv1.Role](t, all, component).Rules, func(rule rbacv1.PolicyRule) bool {
				return slices.Contains(rule.Resources, resource) && slices.Contains(rule.ResourceNames, name)
			})
			if name != "" && !named {
				t.Errorf("no rule of %s names the %s of --%s", component, name, flag)
			}
		}
		if slots := option(pod.Spec.Containers[0].Args, "drain-slots"); slots != "" {
			named := slices.ContainsFunc(find[*rbacv1.Role](t, all, component).Rules, func(rule rbacv1.PolicyRule) bool {
				return slices.Contains(rule.Resources, "leases") && slices.Equal(rule.ResourceNames, []string{slots + "-0"})
			})
			if !named {
				t.Errorf("no rule of %s names the first of --drain-slots=%s", component, slots)
			}
		}
		role := option(pod.Spec.Containers[0].Args, "cluster-role")
		if role != "" && !slices.ContainsFunc(find[*rbacv1.ClusterRole](t, all, role).Rules, func(rule rbacv1.PolicyRule) bool {
			return slices.Contains(rule.Resources, "clusterroles") && slices.Equal(rule.ResourceNames, []string{role}) && slices.Equal(rule.Verbs, []string{"get"})
		}) {
			t.Errorf("%s cannot get its owner, the ClusterRole %s", component, role)
		}
	}
}
