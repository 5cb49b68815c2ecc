package chart_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
)

// spelt is the value of a key of a peer in one of its spellings.
func spelt(peer map[string]any, spellings ...string) any {
	for _, key := range spellings {
		if peer[key] != nil {
			return peer[key]
		}
	}
	return nil
}

// movePasswords does to the peers that a user wrote what the chart has to do, in its own way.
func movePasswords(peers []any) (moved map[string][]byte) {
	moved = map[string][]byte{}
	for _, one := range peers {
		peer := one.(map[string]any)
		password, ok := peer["password"].(string)
		if !ok {
			continue
		}
		address := strings.ReplaceAll(spelt(peer, "peer_address", "peer-address", "peerAddress").(string), ":", "-")
		key := address
		for n := 2; moved[key] != nil; n++ {
			key = fmt.Sprintf("%s-%d", address, n)
		}
		moved[key] = []byte(password)
		delete(peer, "password")
		peer["password_secret"] = map[string]any{"name": release + "-peers", "key": key}
	}
	return moved
}

// TestPasswordsMove: every inline password is in the one Secret, under the key that the document names, and in
// nothing else that Helm creates or shows.
func TestPasswordsMove(t *testing.T) {
	for _, file := range []string{"testdata/good/passwords.yaml", "testdata/everything.yaml"} {
		t.Run(path.Base(file), func(t *testing.T) {
			values := readValues(t, file)
			want := movePasswords(readValues(t, file)["peers"].([]any))
			files := mustRender(t, values)
			secret := find[*corev1.Secret](t, objects(t, files), release+"-peers")
			if !reflect.DeepEqual(secret.Data, want) {
				t.Errorf("the Secret has %q, want %q", secret.Data, want)
			}
			last, peers, ok := strings.Cut(files["kontena-network-lb/templates/secrets.yaml"], "\n---\n")
			if !ok || !strings.Contains(peers, "name: "+release+"-peers") {
				t.Fatal("the Secret of the passwords is not where this test leaves it out")
			}
			files["kontena-network-lb/templates/secrets.yaml"] = last
			for name, text := range files {
				for _, password := range want {
					if strings.Contains(text, string(password)) || strings.Contains(text, base64.StdEncoding.EncodeToString(password)) {
						t.Errorf("%s shows %q:\n%s", name, password, text)
					}
				}
			}
		})
	}
}

func TestNoPasswordNoSecret(t *testing.T) {
	values := readValues(t, "testdata/good/minimal.yaml")
	values["peers"] = []any{map[string]any{"peer_address": "10.0.0.1", "peer_asn": 1, "my_asn": 1,
		"password_secret": map[string]any{"name": "routers", "key": "a"}}}
	for _, one := range objects(t, mustRender(t, values)) {
		if kind(one) == "Secret" && one.GetName() != release+"-last-good" && one.GetName() != release+"-membership" {
			t.Errorf("Secret %s is rendered", one.GetName())
		}
	}
}

// TestLastGoodIsNotHelms: without a field data Helm's upgrades and rollbacks leave alone what the controller wrote there.
func TestLastGoodIsNotHelms(t *testing.T) {
	text := mustRender(t, readValues(t, "testdata/good/minimal.yaml"))["kontena-network-lb/templates/secrets.yaml"]
	for _, name := range []string{"-last-good", "-membership"} {
		secret := find[*corev1.Secret](t, objects(t, map[string]string{"secrets.yaml": text}), release+name)
		if strings.Contains(text, "\ndata:") || secret.Data != nil || secret.StringData != nil || secret.Immutable != nil {
			t.Errorf("rendered is\n%s", text)
		}
		if secret.Type != corev1.SecretTypeOpaque {
			t.Errorf("its type is %q", secret.Type)
		}
	}
}

// TestRefusalsHidePasswords: whatever is wrong with the values, no message quotes what may be a password.
func TestRefusalsHidePasswords(t *testing.T) {
	const hidden = "hunter2"
	peer := func(more map[string]any) map[string]any {
		maps.Copy(more, map[string]any{"peer_address": "10.0.0.1", "peer_asn": 1, "my_asn": 1})
		return map[string]any{
			"address_pools": []any{map[string]any{"name": "a", "protocol": "bgp", "addresses": []any{"10.20.0.0/24"}}},
			"peers":         []any{more},
		}
	}
	reference := map[string]any{"name": "a", "key": "b"}
	for name, values := range map[string]map[string]any{
		"a map":           peer(map[string]any{"password": map[string]any{"value": hidden}}),
		"a list":          peer(map[string]any{"password": []any{hidden}}),
		"too long":        peer(map[string]any{"password": strings.Repeat(hidden, 12)}),
		"in bytes":        peer(map[string]any{"password": strings.Repeat(hidden+"üüü", 7)}),
		"both":            peer(map[string]any{"password": hidden, "password-secret": reference}),
		"as a reference":  peer(map[string]any{"password_secret": hidden}),
		"without a blank": peer(map[string]any{"password:" + hidden: nil}),
		"assigned":        peer(map[string]any{"password=" + hidden: nil}),
		"no colon":        peer(map[string]any{"password " + hidden: nil}),
		"misspelt":        peer(map[string]any{"pasword": hidden}),
		"another mistake": peer(map[string]any{"password": hidden, "peer_asn": 0, "node_selectors": "x"}),
		"elsewhere":       {"password": hidden},
	} {
		_, err := render(t, values)
		if err == nil {
			t.Errorf("%s: is accepted", name)
		} else if strings.Contains(err.Error(), hidden) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSpeakerMayReadItsSecrets and no others: each Secret that the document or a flag names, once. Each is mounted too, where
// it is there.
func TestSpeakerMayReadItsSecrets(t *testing.T) {
	values := readValues(t, "testdata/good/passwords.yaml")
	want := []string{release + "-last-good", release + "-membership", release + "-peers", "routers", "lb-peers.example"}
	var got []string
	for _, rule := range find[*rbacv1.Role](t, objects(t, mustRender(t, values)), release+"-speaker").Rules {
		if slices.Contains(rule.Resources, "secrets") {
			got = append(got, rule.ResourceNames...)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("it may read %q, want %q", got, want)
	}
	pod := find[*appsv1.DaemonSet](t, objects(t, mustRender(t, values)), release+"-speaker").Spec.Template.Spec
	got = nil
	for _, v := range pod.Volumes {
		if v.Secret == nil {
			continue
		}
		got = append(got, v.Secret.SecretName)
		at := slices.IndexFunc(pod.Containers[0].VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == v.Name })
		if at < 0 || !pod.Containers[0].VolumeMounts[at].ReadOnly || v.Secret.Optional == nil || !*v.Secret.Optional ||
			pod.Containers[0].VolumeMounts[at].MountPath != option(pod.Containers[0].Args, "secrets")+"/"+v.Secret.SecretName {
			t.Errorf("%+v is mounted otherwise", v.Secret)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("mounted are %q, want %q", got, want)
	}
}
