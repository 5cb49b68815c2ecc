package lab

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/kontena/network-lb/lab/namespace"
	"github.com/kontena/network-lb/lab/process"
)

// etcdURL is inside the control plane's namespace.
const etcdURL = "http://127.0.0.1:2379"

// startEtcd starts the store. Its data may be lost, so it waits for no disk.
func (c *Cluster) startEtcd(ctx context.Context) error {
	err := c.startKube(Control, "etcd", "etcd", flags{
		"data-dir":                    filepath.Join(c.state, "etcd"),
		"listen-client-urls":          etcdURL,
		"advertise-client-urls":       etcdURL,
		"listen-peer-urls":            "http://127.0.0.1:2380",
		"initial-advertise-peer-urls": "http://127.0.0.1:2380",
		"initial-cluster":             "default=http://127.0.0.1:2380",
		"unsafe-no-fsync":             "true",
		"log-level":                   "warn",
	})
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DialContext: c.host(Control).DialContext, DisableKeepAlives: true}}
	return c.until(ctx, "etcd", 30*time.Second, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, etcdURL+"/health", nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("health: %s", resp.Status)
		}
		return nil
	})
}

// startAPIServer starts the API server and waits until it is ready.
func (c *Cluster) startAPIServer(ctx context.Context) error {
	control, err := HostNamed(Control)
	if err != nil {
		return err
	}
	err = c.startKube(Control, "kube-apiserver", "kube-apiserver", flags{
		"etcd-servers":                     etcdURL,
		"secure-port":                      fmt.Sprint(apiPort),
		"bind-address":                     c.families.listen(),
		"advertise-address":                control.LANAddrs(c.families)[0].String(),
		"cert-dir":                         string(c.pki),
		"tls-cert-file":                    c.pki.file("apiserver.crt"),
		"tls-private-key-file":             c.pki.file("apiserver.key"),
		"service-cluster-ip-range":         c.families.list(ServiceV4, ServiceV6),
		"service-account-issuer":           "https://kubernetes.default.svc",
		"service-account-key-file":         c.pki.file("serviceaccount.pub"),
		"service-account-signing-key-file": c.pki.file("serviceaccount.key"),
		"token-auth-file":                  tokensFile(c.state),
		"authorization-mode":               "Node,RBAC",
		"enable-admission-plugins":         "NodeRestriction",
		"allow-privileged":                 "true",
		// Node names are in no DNS here.
		"kubelet-preferred-address-types": "InternalIP",
	})
	if err != nil {
		return err
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	return c.until(ctx, "kube-apiserver", time.Minute, func(ctx context.Context) error {
		return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
}

// startControllers starts the scheduler and the controller manager. A silent node is found after 16 s instead
// of 50.
func (c *Cluster) startControllers() error {
	err := c.startKube(Control, "kube-controller-manager", "kube-controller-manager", flags{
		"kubeconfig":                       kubeconfigFile(c.state, controllerManager),
		"bind-address":                     "127.0.0.1",
		"leader-elect":                     "false",
		"allocate-node-cidrs":              "false", // the lab writes them into the nodes, to have routes before them
		"cluster-cidr":                     c.families.list(PodsV4, PodsV6),
		"service-cluster-ip-range":         c.families.list(ServiceV4, ServiceV6),
		"root-ca-file":                     c.pki.file("ca.crt"),
		"service-account-private-key-file": c.pki.file("serviceaccount.key"),
		"use-service-account-credentials":  "true",
		"kube-api-qps":                     "200", // it makes an account for each controller first
		"kube-api-burst":                   "400",
		"node-monitor-period":              "2s",
		"node-monitor-grace-period":        "16s",
	})
	if err != nil {
		return err
	}
	return c.startKube(Control, "kube-scheduler", "kube-scheduler", flags{
		"kubeconfig":   kubeconfigFile(c.state, scheduler),
		"bind-address": "127.0.0.1",
		"leader-elect": "false",
	})
}

// waitServiceAccount waits until Pods can be created: each needs its namespace's ServiceAccount.
func (c *Cluster) waitServiceAccount(ctx context.Context) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	return c.until(ctx, "kube-controller-manager", time.Minute, func(ctx context.Context) error {
		_, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err
	})
}

// startKube starts one of Kubernetes' programs on a host.
func (c *Cluster) startKube(host, name, program string, f flags) error {
	return c.processes().Start(process.Command{
		Name: name, Path: c.binaries.Kube, Args: append([]string{program}, f.args()...), In: c.host(host),
	})
}

// host returns the namespaces of a host.
func (c *Cluster) host(name string) namespace.Host {
	ns, err := c.Namespaces(name)
	if err != nil {
		panic(err) // callers name the constants of this package
	}
	return ns
}

// client talks to the API server as the operator.
func (c *Cluster) client() (*kubernetes.Clientset, error) {
	config, err := c.RESTConfig()
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}
