// Package recording keeps what the probes tell of a real run of a program, for tests of what is made of it.
package recording

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/pclntab"
)

// Recording is a run of a program, from when it was followed until some moment.
type Recording struct {
	PID       int
	GoVersion string
	// Start and End are in ns of CLOCK_MONOTONIC.
	Start, End  int64
	WaitReasons []string
	Events      []lifecycle.Event
	Counts      lifecycle.Counts
	Histograms  []Histogram
	Functions   map[uint64]lifecycle.Lives
	// Symbols tells what the addresses mean; the program is linked to where it runs.
	Symbols Symbols
}

// Histogram is one distribution.
type Histogram struct {
	lifecycle.HistogramKey
	lifecycle.Histogram
}

// Symbols are those that a run has come upon. It implements telemetry.Symbols and goexe.Code.
type Symbols struct {
	Starts map[uint64]pclntab.Frame
	Calls  map[uint64][]pclntab.Frame
}

// StartFunction returns the function that goroutines which begin at an address were started for.
func (s Symbols) StartFunction(pc uint64) pclntab.Frame { return s.Starts[pc] }

// Frames returns the source-level calls at an address, innermost first.
func (s Symbols) Frames(pc uint64) []pclntab.Frame { return s.Calls[pc] }

// Loop knows no function that repeats a call: a recording has no code.
func (Symbols) Loop(uint64) (index int, later bool) { return -1, false }

// Load reads a recording from a file.
func Load(path string) (*Recording, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var r Recording
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("recording %s: %w", path, err)
	}
	return &r, nil
}

// Save writes the recording to a file.
func (r *Recording) Save(path string) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}
