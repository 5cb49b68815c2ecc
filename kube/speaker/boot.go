package speaker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/kontena/network-lb/internal/atomicfile"
)

// bootIDFile is where the kernel says which boot this is (proc(5)).
const bootIDFile = "/proc/sys/kernel/random/boot_id"

// SameBoot says whether a speaker has run on this node since its boot, as far as the folder knows, and notes there that
// one does. After a boot routers must not keep old routes: the node does not forward yet. An empty folder's name knows
// of nothing. With an error the answer is no.
func SameBoot(folder string) (bool, error) { return sameBoot(folder, bootIDFile) }

// BootID is the kernel's name for the present boot.
func BootID() (string, error) {
	id, err := os.ReadFile(bootIDFile)
	if err != nil {
		return "", fmt.Errorf("asking for the boot: %w", err)
	}
	return strings.TrimSpace(string(id)), nil
}

func sameBoot(folder, kernel string) (bool, error) {
	if folder == "" {
		return false, nil
	}
	now, err := os.ReadFile(kernel)
	if err != nil {
		return false, fmt.Errorf("asking for the boot: %w", err)
	}
	if strings.TrimSpace(string(now)) == "" {
		return false, fmt.Errorf("asking for the boot: %s is empty", kernel)
	}
	note := filepath.Join(folder, "boot-id")
	last, err := os.ReadFile(note)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("reading what the last run left: %w", err)
	}
	if string(last) == string(now) {
		return true, nil
	}
	if err := atomicfile.Write(note, now); err != nil {
		return false, fmt.Errorf("noting the boot: %w", err)
	}
	return false, nil
}
