package lab

import (
	"bytes"
	"os/exec"

	"github.com/kontena/network-lb/lab/namespace"
)

// Cmd is a command on one of the lab's hosts. Set its streams as of an exec.Cmd.
type Cmd struct {
	*exec.Cmd
	host namespace.Host
}

// Start starts the command inside the host's namespaces; Wait waits for its end.
func (c *Cmd) Start() error { return c.host.Do(c.Cmd.Start) }

// Run starts the command and waits for its end.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the command and returns its standard output.
func (c *Cmd) Output() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout = &out
	err := c.Run()
	return out.Bytes(), err
}

// CombinedOutput runs the command and returns what it wrote on both streams.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}
