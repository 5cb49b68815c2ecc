package controller

import (
	"encoding/base64"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A key is made where there is none, only by the leader, and stays.
func TestKeyOfTheMembership(t *testing.T) {
	inBubble(t, func(t *testing.T, c *cluster) {
		secrets := c.CoreV1().Secrets("system")
		key := func() string {
			t.Helper()
			s, err := secrets.Get(t.Context(), "members", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return string(s.Data["key"])
		}
		write := func(data map[string][]byte) {
			t.Helper()
			o := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: "members"}, Data: data}
			if _, err := secrets.Update(t.Context(), o, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		c.start("a")
		c.start("b")
		time.Sleep(2 * time.Second) // there is no configuration, and no Secret
		if _, err := secrets.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "system", Name: "members"}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(keyRetry)
		made := key()
		if b, err := base64.StdEncoding.DecodeString(made); err != nil || len(b) != 32 {
			t.Fatalf("%d bytes, %v", len(b), err)
		}
		time.Sleep(5 * time.Minute)
		if key() != made {
			t.Error("there is another key")
		}
		write(map[string][]byte{"key": []byte("mine")})
		time.Sleep(5 * time.Minute)
		if key() != "mine" {
			t.Error("somebody's key was replaced")
		}
		write(nil)
		time.Sleep(2 * time.Minute)
		if again := key(); again == "" || again == made {
			t.Errorf("%d bytes after it was taken away", len(again))
		}
	})
}
