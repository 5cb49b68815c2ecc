package members

import (
	"bytes"
	"net/netip"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// quiet is how long a warning of memberlist's is not repeated.
const quiet = time.Minute

// logger is memberlist's log. Some things are told nowhere but there, so it looks at each line.
type logger struct {
	log    *zap.Logger
	unread func(netip.Addr) // something came from there that none of our keys opens
	plain  func(netip.Addr) // or that is not encrypted

	mu   sync.Mutex
	last map[string]time.Time // when a kind of warning was shown
}

// ordinary are warnings and errors of memberlist that are told in other words with the speaker that they are about,
// or happen to every packet that is lost.
var ordinary = []string{
	"Decrypt packet failed", "failed to receive", "Failed to read remote state", "Failed to push local state",
	"Was able to connect to", "Failed fallback TCP ping", "Failed to send", "Failed to forward ack", "Push/Pull with",
	"Refuting a", "Got ping for unexpected node", "Conflicting address", "Failed to decode", "Failed to decompress",
	"missing message type", "not supported", "invalid checksum", "Received invalid msgType",
}

// Write takes a line of memberlist's, "[ERR] memberlist: …".
func (l *logger) Write(line []byte) (int, error) {
	level, text := zapcore.DebugLevel, string(bytes.TrimSpace(line))
	if word, rest, ok := strings.Cut(text, "] "); ok && strings.HasPrefix(word, "[") {
		text = strings.TrimPrefix(rest, "memberlist: ")
		if word == "[WARN" || strings.HasPrefix(word, "[ERR") {
			level = zapcore.WarnLevel
		}
	}
	if level > zapcore.DebugLevel {
		l.observe(text)
		if !l.shows(text) {
			level = zapcore.DebugLevel
		}
	}
	if entry := l.log.Check(level, "memberlist: "+text); entry != nil {
		entry.Write()
	}
	return len(line), nil
}

// observe looks for what nothing else tells.
func (l *logger) observe(text string) {
	switch {
	case strings.Contains(text, "no installed keys could decrypt"), strings.Contains(text, "unsupported encryption version"),
		strings.Contains(text, "payload is too small to decrypt"):
		if from, ok := sender(text); ok {
			l.unread(from)
		}
	case strings.Contains(text, "remote state is not encrypted"):
		if from, ok := sender(text); ok {
			l.plain(from)
		}
	}
}

// sender is the address at the end of a line, "… from=10.0.0.5:17946".
func sender(text string) (netip.Addr, bool) {
	_, from, ok := strings.Cut(text, "from=")
	if !ok {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddrPort(from)
	return addr.Addr().Unmap(), err == nil
}

// shows reports whether a person should see the warning: it is not told elsewhere, and none like it was shown lately.
func (l *logger) shows(text string) bool {
	for _, o := range ordinary {
		if strings.Contains(text, o) {
			return false
		}
	}
	like, _, _ := strings.Cut(text, ":")
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil || len(l.last) > 100 {
		l.last = map[string]time.Time{}
	}
	if last, shown := l.last[like]; shown && time.Since(last) < quiet {
		return false
	}
	l.last[like] = time.Now()
	return true
}
