package speaker

import (
	"encoding/json"
	"errors"
	"os"

	"go.uber.org/zap"

	"github.com/kontena/network-lb/internal/atomicfile"
)

// recall returns what the last process on this boot has left.
func (d *drain) recall() (p passage) {
	if d.file == "" {
		return passage{}
	}
	text, err := os.ReadFile(d.file)
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		d.log.Warn("the drain of the last run is not remembered", zap.Error(err))
		return passage{}
	}
	return p
}

// remember keeps what the next process has to know: a restart neither ends a drain nor begins it anew.
func (d *drain) remember(before passage) {
	if d.file == "" || d.now == before {
		return
	}
	var err error
	if d.now.State == "" || !d.deadline.IsZero() {
		err = os.Remove(d.file)
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
	} else {
		var text []byte
		if text, err = json.Marshal(d.now); err == nil {
			err = atomicfile.Write(d.file, text)
		}
	}
	if err != nil {
		d.log.Warn("the drain is not remembered", zap.Error(err))
	}
}
