package engine

import (
	"math/rand/v2"
	"time"

	"go.uber.org/zap"
)

// Options size what an engine keeps.
type Options struct {
	// MaxGoroutines is how many goroutines of all processes together can be followed; memory for all is taken at once.
	MaxGoroutines int
	// MaxGoroutinesPerProcess is how many of one of them.
	MaxGoroutinesPerProcess int
	// BufferSize is how many bytes of events can wait to be read, a power of two of at least a page.
	BufferSize int
	// Labels name the profiler labels that are looked for; none if they are empty.
	Labels LabelNames
	// ByFunction counts goroutines by the function that they begin in.
	ByFunction bool
	// RunTimes adds up how long goroutines run by the function that they begin in. Of the runtime's own, that is always done.
	RunTimes bool
	// ByLine adds up how long goroutines wait at which line, if stacks are read and the engine can do so for all goroutines.
	ByLine bool
	// MeasureCosts keeps what Attachment.HitCost tells up to date.
	MeasureCosts bool
	// Logger is told what is left out or goes wrong; nil is none.
	Logger *zap.Logger
}

// LabelNames are keys of profiler labels (runtime/pprof) that hold a span's ids in hexadecimal digits.
type LabelNames struct {
	TraceID, SpanID []string
}

// Used tells whether labels are looked for.
func (n LabelNames) Used() bool { return len(n.TraceID) > 0 && len(n.SpanID) > 0 }

// Settings are what a process's goroutines are followed with.
type Settings struct {
	// SamplingRatio is the share of goroutine trees of which events are sent; 0 sends none.
	SamplingRatio float64
	// RootAge is how old a creator may be to share its sampling with what it creates; what an older one creates is sampled by itself.
	RootAge time.Duration
	// Stacks reads the stacks of sampled goroutines that block: the innermost frames, as many as hardly any stack exceeds, 36 or more. Of those
	// that create sampled ones it reads about 24, or more.
	Stacks bool
}

// Samples draws whether a tree of goroutines is sampled if this share of those that would be are, as the engine does for those that begin
// while it follows.
func (s Settings) Samples(share float64) bool { return rand.Float64() < share*s.SamplingRatio }
