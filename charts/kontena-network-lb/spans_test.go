package chart_test

import (
	"encoding/json"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestSpans: the pattern of the schema takes what the parser's time.ParseDuration takes, without a minus.
func TestSpans(t *testing.T) {
	var schema struct {
		Definitions struct{ Span struct{ Pattern string } }
	}
	if err := json.Unmarshal(readFile(t, "values.schema.json"), &schema); err != nil {
		t.Fatal(err)
	}
	pattern := regexp.MustCompile(schema.Definitions.Span.Pattern)
	parts := []string{"0", "1", "90", ".", "+", "ns", "us", "µs", "μs", "ms", "s", "m", "h", "d", " ", "S"}
	random := rand.New(rand.NewPCG(1, 1))
	taken := 0
	for range 100_000 {
		var b strings.Builder
		for range random.IntN(7) {
			b.WriteString(parts[random.IntN(len(parts))])
		}
		_, err := time.ParseDuration(b.String())
		if got := pattern.MatchString(b.String()); got != (err == nil) {
			t.Fatalf("%q: the schema takes it: %v, Go says %v", b.String(), got, err)
		} else if got {
			taken++
		}
	}
	if taken < 1000 {
		t.Errorf("only %d of them were spans", taken)
	}
}
