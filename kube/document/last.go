package document

import (
	"errors"
	"fmt"
	"sync"
)

// LastGood keeps the last valid version of a document: one that is not valid, or goes away, changes nothing. The zero
// value has none yet. It is safe for concurrent use.
type LastGood struct {
	mu   sync.Mutex
	good *Version // nil before the first
	err  error    // why the present version is not valid
}

// Take looks at a version and reports whether the last good one is another now.
func (l *LastGood) Take(v Version) (changed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err = v.Err; v.Err != nil {
		return false
	}
	changed = l.good == nil || l.good.Text != v.Text
	l.good = &v
	return changed
}

// Version returns the last good version; nil before the first. It is not to be changed.
func (l *LastGood) Version() *Version {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.good
}

// Problem says why the present version is not the one in force; nil: it is, or none was read yet.
func (l *LastGood) Problem() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Ready returns nil once there was a valid version, else an error that says what is missing.
func (l *LastGood) Ready() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.good != nil:
		return nil
	case l.err != nil:
		return fmt.Errorf("no valid configuration yet: %w", l.err)
	}
	return errors.New("the configuration has not been read yet")
}
