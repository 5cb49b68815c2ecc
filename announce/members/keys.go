package members

import (
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/memberlist"
)

// checkKeys says everything that is wrong with a keyring.
func checkKeys(keys [][]byte) error {
	if len(keys) == 0 {
		return errors.New("keys: there is none; want one of 16, 24 or 32 bytes at least")
	}
	var errs []error
	for i, k := range keys {
		if n := len(k); n != 16 && n != 24 && n != 32 {
			errs = append(errs, fmt.Errorf("keys[%d]: %d bytes; want 16, 24 or 32 (AES-128, AES-192 or AES-256)", i, n))
		}
	}
	return errors.Join(errs...)
}

// install makes keys the content of the ring, the first of them the one to encrypt with. memberlist's RemoveKey moves
// the keys behind the one that goes while others read them, so only the last is ever removed. Where that is not an
// unwanted one, those wanted are moved to the front first: for that moment another of them encrypts.
func install(ring *memberlist.Keyring, keys [][]byte) error {
	for _, k := range keys {
		if err := ring.AddKey(slices.Clone(k)); err != nil {
			return err
		}
	}
	if err := ring.UseKey(keys[0]); err != nil {
		return err
	}
	unwanted := func(k []byte) bool {
		return !slices.ContainsFunc(keys, func(w []byte) bool { return slices.Equal(k, w) })
	}
	for {
		have := ring.GetKeys()
		if !slices.ContainsFunc(have, unwanted) {
			return nil
		}
		if last := have[len(have)-1]; unwanted(last) {
			if err := ring.RemoveKey(last); err != nil {
				return err
			}
			continue
		}
		for _, k := range slices.Backward(keys) {
			if err := ring.UseKey(k); err != nil {
				return err
			}
		}
	}
}
