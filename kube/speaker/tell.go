package speaker

import (
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/kontena/network-lb/announce"
)

// tell logs what begins and what ends; the rest is said at debug level. The verdicts of both plans are in the same order.
func (s *Speaker) tell(before *announce.Plan, now announce.Plan) {
	var old []announce.Verdict
	if before != nil {
		old = before.Verdicts
	}
	gone := func() {
		if old[0].Reason == "" {
			s.say(zapcore.InfoLevel, "no longer announcing", old[0])
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
			s.say(zapcore.InfoLevel, "announcing", v)
		case was && !is:
			s.say(zapcore.InfoLevel, "no longer announcing", v)
		case !is:
			s.say(zapcore.DebugLevel, "not announcing", v)
		}
	}
	for len(old) > 0 {
		gone()
	}
}

func (s *Speaker) say(level zapcore.Level, what string, v announce.Verdict) {
	if line := s.log.Check(level, what); line != nil {
		line.Write(zap.String("service", v.Service), zap.Stringer("address", v.Addr), zap.String("protocol", string(v.Protocol)),
			zap.String("reason", string(v.Reason)), zap.String("owner", v.Owner))
	}
}
