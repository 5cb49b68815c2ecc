package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/kontena/network-lb/lab/process"
)

// StateDir holds everything of the running lab: a tmpfs, so that etcd and the images are fast and one unmount
// removes it all. There is one lab on a machine.
const StateDir = "/run/kontena-network-lb-lab"

// lockFile keeps two labs from coming up or going down at once. It lies outside the tmpfs, which goes away.
const lockFile = StateDir + ".lock"

func mountFile(state, node string) string { return filepath.Join(state, "nodes", node, "mounts") }

func processes(state string) process.Group {
	return process.Group{Records: filepath.Join(state, "processes"), Logs: filepath.Join(state, "logs")}
}

// binaries are the programs that the lab builds itself.
type binaries struct {
	Kube  string `json:"kube"`
	Runc  string `json:"runc"`
	Pause string `json:"pause"`
	Web   string `json:"web"`
}

// summary is written last: where it lies, the lab came up completely.
type summary struct {
	Binaries binaries `json:"binaries"`
	Families Families `json:"families"`
}

func summaryFile(state string) string { return filepath.Join(state, "lab.json") }

func readSummary(state string) (summary, error) {
	var s summary
	data, err := os.ReadFile(summaryFile(state))
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(data, &s)
}

func writeSummary(state string, s summary) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(summaryFile(state), append(data, '\n'), 0o644)
}

// mountState makes the state folder.
func mountState(state string) error {
	if err := os.MkdirAll(state, 0o755); err != nil {
		return fmt.Errorf("making the lab's folder: %w", err)
	}
	if err := unix.Mount("lab", state, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mounting the lab's folder: %w", err)
	}
	// Private: the nodes' mount namespaces are kept in it, which Linux allows only there.
	if err := unix.Mount("", state, "", unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mounting the lab's folder: %w", err)
	}
	return nil
}

// unmountState removes the state folder with everything mounted in it, also after several crashed runs.
func unmountState(state string) error {
	for _, h := range Nodes() {
		_ = unix.Unmount(mountFile(state, h.Name), unix.MNT_DETACH) // not there: nothing to do
	}
	for {
		err := unix.Unmount(state, unix.MNT_DETACH)
		if errors.Is(err, unix.EINVAL) || errors.Is(err, os.ErrNotExist) {
			break // no longer a mount
		}
		if err != nil {
			return fmt.Errorf("unmounting the lab's folder: %w", err)
		}
	}
	if err := os.Remove(state); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the lab's folder: %w", err)
	}
	return nil
}
