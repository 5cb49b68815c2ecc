package gobgp

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	gobgplog "github.com/osrg/gobgp/v3/pkg/log"
	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logger is one server's log. GoBGP tells why a session ended nowhere but there, so the logger remembers it.
type logger struct {
	log *zap.Logger

	mu           sync.Mutex
	notification string // the last one sent or received
	cease        bool   // it was a received Cease
	flooded      bool   // the peer has sent more routes than it may
	change       string // GoBGP's reason for the last change to Idle
	was          string // the state before that change
	dials        bool   // GoBGP is connecting
	hooks        hooks
}

// hooks are told by GoBGP's own goroutine, which goes on only when they return. They must not call GoBGP.
type hooks struct {
	connected  func()           // before our OPEN is sent
	opened     func(asn uint32) // by a peer of any ASN, before its OPEN is answered
	dialFailed func(error)      // each time that a connection does not come about
}

var _ gobgplog.Logger = (*logger)(nil)

// reset forgets the last connection.
func (l *logger) reset(h hooks) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notification, l.cease, l.flooded, l.change, l.was = "", false, false, "", ""
	l.dials, l.hooks = false, h
}

// cause says why the session went to Idle, and whether the peer said Cease, or we did since it sent too many routes.
func (l *logger) cause() (reason string, cease, flooded bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.notification != "" {
		return l.notification, l.cease, l.flooded
	}
	return l.changed(), false, false
}

// changed is GoBGP's reason for the last change to Idle, in our words.
func (l *logger) changed() string {
	switch l.change {
	case "read-failed":
		if strings.Contains(l.was, "OPEN") {
			return "the peer closed the connection before the session was up"
		}
		return "the connection broke or the peer closed it"
	case "write-failed":
		return "the connection broke"
	case "hold-timer-expired":
		return "nothing was heard from the peer for the hold time"
	case "invalid-msg":
		return "the peer refused our OPEN, or answered with something else (GoBGP does not tell the NOTIFICATION)"
	case "":
		return "the session ended"
	}
	return l.change
}

// observe looks for reasons among the messages.
func (l *logger) observe(msg string, f gobgplog.Fields) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch msg {
	case "sent notification":
		l.notification, l.cease = "we sent a NOTIFICATION: "+notification(f), false
	case "received notification":
		code, _ := f["Code"].(uint8)
		l.notification = "the peer sent a NOTIFICATION: " + notification(f)
		l.cease = code == bgp.BGP_ERROR_CEASE
	case "skipped asn negotiation":
		if asn, ok := f["Asn"].(uint32); ok && l.hooks.opened != nil {
			l.hooks.opened(asn)
		}
	case "prefix limit reached":
		l.flooded = true
	case "state changed":
		l.dials = f["new"] == bgp.BGP_FSM_ACTIVE.String()
		if f["new"] == bgp.BGP_FSM_OPENSENT.String() && l.hooks.connected != nil {
			l.hooks.connected()
		}
		if f["new"] == bgp.BGP_FSM_IDLE.String() {
			l.was, l.change = fmt.Sprint(f["old"]), fmt.Sprint(f["reason"])
		}
	}
}

// missed passes on why a connection did not come about.
func (l *logger) missed(msg string, f gobgplog.Fields) {
	err, ok := f["Error"].(error)
	if msg != "failed to connect" || !ok {
		return
	}
	l.mu.Lock()
	tell := l.hooks.dialFailed
	l.mu.Unlock()
	if tell != nil {
		tell(err)
	}
}

// notification describes one by the fields that GoBGP logs it with.
func notification(f gobgplog.Fields) string {
	code, known := f["Code"].(uint8)
	if !known {
		var e *bgp.MessageError
		if err, ok := f["Data"].(error); ok && errors.As(err, &e) {
			return bgp.NewNotificationErrorCode(e.TypeCode, e.SubTypeCode).String() + ": " + e.Message
		}
		return "of unknown code"
	}
	sub, _ := f["Subcode"].(uint8)
	text := bgp.NewNotificationErrorCode(code, sub).String()
	if said, _ := f["Communicated-Reason"].(string); said != "" {
		text += fmt.Sprintf(": %q", said)
	}
	return text
}

// ordinary reports whether a warning tells nothing new: the reasons are logged with the session's loss, and
// routes of ours that a router sent back are always unknown when it takes them back.
func ordinary(msg string) bool {
	return msg == "sent notification" || msg == "received notification" ||
		msg == "prefix limit reached" || msg == "update prefix limit configuration" ||
		strings.HasPrefix(msg, "No matching path for withdraw found")
}

func (l *logger) write(level zapcore.Level, msg string, f gobgplog.Fields) {
	l.observe(msg, f)
	entry := l.log.Check(level, "gobgp: "+msg)
	if entry == nil {
		return
	}
	fields := make([]zap.Field, 0, len(f))
	for _, key := range slices.Sorted(maps.Keys(f)) {
		if key != "Topic" {
			fields = append(fields, zap.String(key, fmt.Sprint(f[key])))
		}
	}
	entry.Write(fields...)
}

// Panic and Fatal mean that GoBGP is broken: neither may end the process quietly.
func (l *logger) Panic(msg string, f gobgplog.Fields) {
	l.write(zapcore.PanicLevel, msg, f)
	panic(msg)
}
func (l *logger) Fatal(msg string, f gobgplog.Fields) {
	l.write(zapcore.PanicLevel, msg, f)
	panic(msg)
}
func (l *logger) Error(msg string, f gobgplog.Fields) { l.write(zapcore.ErrorLevel, msg, f) }
func (l *logger) Info(msg string, f gobgplog.Fields)  { l.write(zapcore.DebugLevel, msg, f) }

func (l *logger) Debug(msg string, f gobgplog.Fields) {
	l.missed(msg, f)
	l.write(zapcore.DebugLevel, msg, f)
}

func (l *logger) Warn(msg string, f gobgplog.Fields) {
	if ordinary(msg) {
		l.write(zapcore.DebugLevel, msg, f)
		return
	}
	l.write(zapcore.WarnLevel, msg, f)
}

// SetLevel does nothing: the level is the zap logger's.
func (l *logger) SetLevel(gobgplog.LogLevel) {}

// GetLevel is asked before GoBGP builds costly debug fields. They are wanted while it is connecting: it tells
// why that fails nowhere else.
func (l *logger) GetLevel() gobgplog.LogLevel {
	l.mu.Lock()
	dials := l.dials
	l.mu.Unlock()
	if dials || l.log.Core().Enabled(zapcore.DebugLevel) {
		return gobgplog.DebugLevel
	}
	return gobgplog.InfoLevel
}
