package lab

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// admin is the operator's user name, everybody else's is the one that Kubernetes' own RBAC rules expect.
const (
	admin             = "admin"
	controllerManager = "system:kube-controller-manager"
	scheduler         = "system:kube-scheduler"
	kubeProxy         = "system:kube-proxy"
)

// account is somebody who may call the API server.
type account struct{ name, group string }

func accounts() []account {
	nodes := Nodes()
	all := make([]account, 0, 4+len(nodes))
	all = append(all, account{admin, "system:masters"},
		account{name: controllerManager}, account{name: scheduler}, account{name: kubeProxy})
	for _, node := range nodes {
		all = append(all, account{"system:node:" + node.Name, "system:nodes"})
	}
	return all
}

// kubeconfigFile is the user's kubeconfig.
func kubeconfigFile(state, name string) string {
	return filepath.Join(state, "kubeconfigs", strings.ReplaceAll(name, ":", "-")+".yaml")
}

func tokensFile(state string) string { return filepath.Join(state, "tokens.csv") }

// makeCredentials gives each user a token and a kubeconfig, and writes the API server's list of tokens.
func makeCredentials(state string, p pki, f Families) error {
	ca, err := os.ReadFile(p.file("ca.crt"))
	if err != nil {
		return err
	}
	var tokens strings.Builder
	for _, u := range accounts() {
		token := rand.Text()
		fmt.Fprintf(&tokens, "%s,%s,%s,%q\n", token, u.name, u.name, u.group)
		if err := clientcmd.WriteToFile(kubeconfig(u.name, token, apiURL(f), ca), kubeconfigFile(state, u.name)); err != nil {
			return fmt.Errorf("writing the kubeconfig of %s: %w", u.name, err)
		}
	}
	return os.WriteFile(tokensFile(state), []byte(tokens.String()), 0o600)
}

func kubeconfig(name, token, server string, ca []byte) clientcmdapi.Config {
	config := clientcmdapi.NewConfig()
	config.Clusters["lab"] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: ca}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["lab"] = &clientcmdapi.Context{Cluster: "lab", AuthInfo: name, Namespace: "default"}
	config.CurrentContext = "lab"
	return *config
}

// apiPort is the API server's.
const apiPort = 6443

func apiURL(f Families) string {
	control, err := HostNamed(Control)
	if err != nil {
		panic(err) // a constant of this package
	}
	return "https://" + netip.AddrPortFrom(control.LANAddrs(f)[0], apiPort).String()
}
