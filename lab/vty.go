package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
)

// VTY is a connection to one of FRR's daemons. Its answers come within a millisecond, where starting vtysh takes
// tens of them.
type VTY struct{ conn net.Conn }

// VTY connects to a daemon of an FRR router: VTY(FRR1, "bgpd"). Close it after use.
func (c *Cluster) VTY(router, daemon string) (*VTY, error) {
	conn, err := net.Dial("unix", filepath.Join(routerDir(c.state, router), daemon+".vty"))
	if err != nil {
		return nil, fmt.Errorf("connecting to %s of %s: %w", daemon, router, err)
	}
	return &VTY{conn}, nil
}

// Ask sends a command and returns what the daemon prints.
func (v *VTY) Ask(command string) (string, error) {
	if _, err := io.WriteString(v.conn, command+"\x00"); err != nil {
		return "", fmt.Errorf("asking %q: %w", command, err)
	}
	var answer []byte
	chunk := make([]byte, 64<<10)
	for {
		n, err := v.conn.Read(chunk)
		answer = append(answer, chunk[:n]...)
		// The answer ends with three zeros and a return code.
		if end := len(answer) - 4; end >= 0 && bytes.Equal(answer[end:end+3], []byte{0, 0, 0}) {
			if code := answer[end+3]; code != 0 {
				return "", fmt.Errorf("asking %q: FRR answers %q with code %d", command, answer[:end], code)
			}
			return string(answer[:end]), nil
		}
		if err != nil {
			return "", fmt.Errorf("asking %q: %w", command, errors.Join(err, io.ErrUnexpectedEOF))
		}
	}
}

// Close ends the connection.
func (v *VTY) Close() error { return v.conn.Close() }
