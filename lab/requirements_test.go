package lab

import (
	"strings"
	"testing"
)

func TestMissingToolsNameTheirPackages(t *testing.T) {
	_, err := locate([]tool{
		{name: "no-such-daemon", pkg: "frr"},
		{name: "no-such-shell", pkg: "frr"},
		{name: "no-such-capture", pkg: "tcpdump", in: []string{"/nowhere"}},
	})
	if err == nil {
		t.Fatal("found programs that are not there")
	}
	for _, want := range []string{"no-such-capture, no-such-daemon, no-such-shell", "apt-get install frr tcpdump"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
}

func TestToolsAreFoundInTheirFolders(t *testing.T) {
	paths, err := locate([]tool{{name: "sh", in: []string{"/nowhere", "/bin"}}})
	if err != nil || paths["sh"] != "/bin/sh" {
		t.Errorf("locate = %v, %v, want /bin/sh", paths, err)
	}
}
