// Package atomicfile replaces a file at one stroke (rename(2)).
package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Write makes content the content of the file at path, with mode 0600, whatever was there before. Whoever reads the file
// meanwhile, or after this process was killed meanwhile, finds all of the old content or all of the new. It does not wait
// for the disk: what a machine that loses its power finds is not promised. On an error, a *fs.PathError of path, the old
// content is still there, and nothing else. Calls for one path may run in parallel: that which ends last wins.
func Write(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // its mode is 0600
	if err != nil {
		return failure(path, err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return failure(path, err)
	}
	return nil
}

// failure is an error that is the same each time, and so without the name of the temporary file.
func failure(path string, err error) error {
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		err = errno
	}
	return &fs.PathError{Op: "replace", Path: path, Err: err}
}
