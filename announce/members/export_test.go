package members

import (
	"testing"
	"time"
)

// Instance has the next speaker begin with a number.
func Instance(t *testing.T, n uint64) {
	before := firstInstance
	t.Cleanup(func() { firstInstance = before })
	firstInstance = func() uint64 { firstInstance = before; return n }
}

// Forget has a speaker forget what it would so much later.
func Forget(m *Membership, later time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(time.Now().Add(later))
}

// Deliver gives a speaker a message as from another one.
func Deliver(m *Membership, message []byte) { delegate{m}.NotifyMsg(message) }
