package speaker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// mounted returns what a Secret holds, as kubelet has mounted it in a folder of the Secret's name inside the given one.
// nil: it is not there, or empty.
func mounted(folder, name string) (map[string][]byte, error) {
	if folder == "" || name == "" {
		return nil, nil
	}
	files, err := os.ReadDir(filepath.Join(folder, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var data map[string][]byte
	for _, f := range files {
		if strings.HasPrefix(f.Name(), ".") { // kubelet's own
			continue
		}
		var text []byte
		if text, err = os.ReadFile(filepath.Join(folder, name, f.Name())); err != nil {
			break
		}
		if data == nil {
			data = map[string][]byte{}
		}
		data[f.Name()] = text
	}
	if err != nil {
		return nil, fmt.Errorf("reading the mounted Secret %s: %w", name, err)
	}
	return data, nil
}
