package namespace

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func require(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("makes namespaces: not with -short")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make namespaces")
	}
}

func addNet(t *testing.T) string {
	t.Helper()
	require(t)
	name := fmt.Sprintf("nlbt-lab-%d", os.Getpid())
	if err := AddNet(name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := DeleteNet(name); err != nil {
			t.Error(err)
		}
	})
	return name
}

func TestLabNamespaceDo(t *testing.T) {
	name := addNet(t)
	outside, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for range 20 { // sooner or later the goroutine begins on the main thread
		var inside string
		err = Host{Net: name}.Do(func() (err error) {
			inside, err = os.Readlink("/proc/thread-self/ns/net")
			return err
		})
		if err != nil || inside == outside {
			t.Errorf("Do ran in %s, %v, want another namespace than %s", inside, err, outside)
		}
		for _, who := range []string{"self", "thread-self"} {
			if after, err := os.Readlink("/proc/" + who + "/ns/net"); err != nil || after != outside {
				t.Errorf("after Do %s is in %s, %v, want %s", who, after, err, outside)
			}
		}
	}
	if err := (Host{Net: "nlbt-none"}).Do(func() error { return nil }); err == nil {
		t.Error("entered a namespace that is not there")
	}
}

func TestLabNamespaceDial(t *testing.T) {
	host := Host{Net: addNet(t)}
	if out, err := exec.Command("ip", "-n", host.Net, "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var listener net.Listener
	err := host.Do(func() (err error) {
		listener, err = net.Listen("tcp", "127.0.0.1:0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	conn, err := host.DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatalf("from inside: %v", err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", listener.Addr().String()); err == nil {
		_ = conn.Close()
		t.Error("from outside: connected, want the namespace to be closed")
	}
}

func TestLabNamespacePids(t *testing.T) {
	host := Host{Net: addNet(t)}
	cmd := exec.CommandContext(t.Context(), "sleep", "600")
	if err := host.Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = cmd.Process.Kill(), cmd.Wait() }()
	pids, err := Pids([]string{host.Net, "nlbt-none"})
	if err != nil || !slices.Equal(pids, []int{cmd.Process.Pid}) {
		t.Errorf("Pids = %v, %v, want %d", pids, err, cmd.Process.Pid)
	}
}

func TestLabNamespaceListAndDelete(t *testing.T) {
	name := addNet(t)
	if names, err := ListNet(name); err != nil || !slices.Equal(names, []string{name}) {
		t.Errorf("ListNet = %v, %v, want %s", names, err, name)
	}
	for range 2 { // the second time it is not there: no error
		if err := DeleteNet(name); err != nil {
			t.Error(err)
		}
	}
	if names, err := ListNet(name); err != nil || len(names) > 0 {
		t.Errorf("ListNet = %v, %v, want none", names, err)
	}
}

// A crash between making the file and mounting the namespace on it leaves a plain file.
func TestLabNamespaceDeleteHalfMade(t *testing.T) {
	name := addNet(t)
	half := name + "-half"
	if err := os.WriteFile(filepath.Join(netDir, half), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := DeleteNet(half); err != nil {
		t.Error(err)
	}
}

func TestLabNamespaceMount(t *testing.T) {
	require(t)
	dir := t.TempDir()
	if err := unix.Mount("test", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	if err := unix.Mount("", dir, "", unix.MS_PRIVATE, ""); err != nil {
		t.Fatal(err)
	}
	file, source, target := filepath.Join(dir, "ns"), filepath.Join(dir, "source"), filepath.Join(dir, "target")
	if err := AddMount(file, []Bind{{Source: source, Target: target}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(file, unix.MNT_DETACH) })
	if err := os.WriteFile(filepath.Join(source, "seen"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "ls", target)
	out := new(strings.Builder)
	cmd.Stdout = out
	if err := (Host{Mount: file}).Do(cmd.Start); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || strings.TrimSpace(out.String()) != "seen" {
		t.Errorf("inside, the target holds %q, %v, want what is in the source", out, err)
	}
	if entries, err := os.ReadDir(target); err != nil || len(entries) > 0 {
		t.Errorf("outside, the target holds %v, %v, want nothing", entries, err)
	}
}
