package speaker

import (
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/kontena/network-lb/announce"
)

// mostTold is how many lines say what begins, and how many what ends, after one decision. A speaker that starts among
// thousands of Services has something else to do then.
const mostTold = 100

const (
	begins = "announcing"
	ends   = "no longer announcing"
)

// tell logs what begins and what ends; the rest, and what is too much, is said at debug level. The verdicts of both plans
// are in the same order.
func (s *Speaker) tell(before *announce.Plan, now announce.Plan) {
	var old []announce.Verdict
	if before != nil {
		old = before.Verdicts
	}
	told := map[string]int{}
	tell := func(what string, v announce.Verdict) {
		level := zapcore.InfoLevel
		if told[what]++; told[what] > mostTold {
			level = zapcore.DebugLevel
		}
		s.say(level, what, v)
	}
	gone := func() {
		if old[0].Reason == "" {
			tell(ends, old[0])
		}
		old = old[1:]
	}
	for _, v := range now.Verdicts {
		for len(old) > 0 && old[0].Compare(v) < 0 {
			gone()
		}
		was := false
		if len(old) > 0 && old[0].Compare(v) == 0 {
			was, old = old[0].Reason == "", old[1:]
		}
		switch is := v.Reason == ""; {
		case is && !was:
			tell(begins, v)
		case was && !is:
			tell(ends, v)
		case !is:
			s.say(zapcore.DebugLevel, "not announcing", v)
		}
	}
	for len(old) > 0 {
		gone()
	}
	for _, what := range []string{begins, ends} {
		if more := told[what] - mostTold; more > 0 {
			s.log.Info(what, zap.Int("more", more))
		}
	}
}

func (s *Speaker) say(level zapcore.Level, what string, v announce.Verdict) {
	if line := s.log.Check(level, what); line != nil {
		line.Write(zap.String("service", v.Service), zap.Stringer("address", v.Addr), zap.String("protocol", string(v.Protocol)),
			zap.String("reason", string(v.Reason)), zap.String("owner", v.Owner))
	}
}
