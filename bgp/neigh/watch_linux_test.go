package neigh

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// script is a netlink socket that answers one read after the other.
type script []error

func (s *script) Read([]byte) (int, error) {
	err := (*s)[0]
	*s = (*s)[1:]
	return 0, err
}

func TestReadGoesOnAfterLostMessages(t *testing.T) {
	for name, c := range map[string]struct {
		script script
		news   bool
	}{
		"closed":   {script{os.ErrClosed}, false},
		"messages": {script{nil, nil, os.ErrClosed}, true},
		"lost":     {script{&os.PathError{Op: "read", Err: unix.ENOBUFS}, os.ErrClosed}, true},
	} {
		moved := make(chan struct{}, 1)
		read(&c.script, moved)
		if _, news := <-moved; news != c.news {
			t.Errorf("%s: told of news: %t, want %t", name, news, c.news)
		}
		if _, open := <-moved; open || len(c.script) > 0 {
			t.Errorf("%s: not at the end: %v", name, c.script)
		}
	}
}
