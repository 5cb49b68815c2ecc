package lab

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// SaveLogs copies the logs of all the lab's programs and pods into a folder.
func (c *Cluster) SaveLogs(dir string) error { return saveLogs(c.state, dir) }

func saveLogs(state, dir string) error {
	sources := map[string]string{dir: filepath.Join(state, "logs")}
	for _, node := range Nodes() {
		sources[filepath.Join(dir, node.Name+"-pods")] = nodeFile(state, node.Name, "/var/log/pods")
	}
	for _, router := range Routers() {
		sources[filepath.Join(dir, router.Name)] = routerDir(state, router.Name)
	}
	errs := make([]error, 0, len(sources))
	for to, from := range sources {
		errs = append(errs, copyLogs(from, to))
	}
	return errors.Join(errs...)
}

// copyLogs copies the regular files below from that end in .log, and routers' configuration.
func copyLogs(from, to string) error {
	return filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if ext := filepath.Ext(path); ext != ".log" && ext != ".conf" {
			return nil
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		return copyFile(path, filepath.Join(to, rel))
	})
}

func copyFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// logTail returns the end of a program's log, for error messages, and of what a router's daemons log together.
func (c *Cluster) logTail(name string) string {
	tail := tailOf(c.processes().LogFile(name))
	for _, r := range Routers() {
		if strings.HasPrefix(name, r.Name+"-") {
			tail = tailOf(filepath.Join(routerDir(c.state, r.Name), "daemon.log")) + "\n" + tail
		}
	}
	return tail
}

func tailOf(file string) string {
	const lines = 15
	data, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	all := strings.Split(strings.TrimSpace(string(data)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
