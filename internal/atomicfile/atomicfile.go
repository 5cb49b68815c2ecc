// Package atomicfile replaces a file at one stroke (rename(2)).
package atomicfile

import (
	"errors"
	"os"
	"path/filepath"
)

// Write makes content the content of the file at path, with mode 0600, whatever was there before. Whoever reads the file
// meanwhile, or after this process was killed meanwhile, finds all of the old content or all of the new. It does not wait
// for the disk: what a machine that loses its power finds is not promised. On an error the old content is still there,
// and nothing else. Calls for one path may run in parallel: that which ends last wins.
func Write(path string, content []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // its mode is 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
