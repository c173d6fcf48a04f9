//go:build linux

package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/cpuusage"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
	"github.com/otelgoroutine/goroutinereceiver/internal/snapshot"
	"github.com/otelgoroutine/goroutinereceiver/internal/survey"
	"github.com/otelgoroutine/goroutinereceiver/internal/waitstats"
)

// Host is what is read of executables and processes beside the engine. Only workers call it, but for CPUTime, which never waits.
type Host interface {
	// Now returns the time in ns of CLOCK_MONOTONIC, by which events are dated.
	Now() int64
	// Open analyses an executable, which it closes if it fails.
	Open(*os.File) (*Executable, error)
	// Bias returns how far above its link-time addresses the process's executable lies.
	Bias(processes.Process, *goexe.Binary) (uint64, error)
	// Goroutines calls visit with each goroutine that the process has now, and the stacks of those that wait if they are asked for.
	Goroutines(ctx context.Context, pid int, b *goexe.Binary, bias uint64, stacks bool, visit func(snapshot.Goroutine) error) error
	// Channels returns the channels that a goroutine waits for, none if it does not wait for channels now.
	Channels(ctx context.Context, pid int, b *goexe.Binary, bias, g, goid uint64) []lifecycle.Hchan
	// Look returns what counts the goroutines of a process by a look at its memory.
	Look(pid int, b *goexe.Binary, bias uint64) Look
	// GoesOn tells whether a process lives whose first thread has exited.
	GoesOn(pid int) bool
	// CPUTime returns how much processor time a process has used.
	CPUTime(pid int) (time.Duration, error)
	// CPUMeter returns what reads the processor time that a process gets, and does not get, from now on.
	CPUMeter(processes.Process) *cpuusage.Meter
}

// Look counts the goroutines of a process. One that has waited for longer than blockedAfter is blocked.
type Look interface {
	Count(ctx context.Context, blockedAfter time.Duration) (waitstats.Count, error)
}

// Executable is an analysed file, which is held open.
type Executable struct {
	Binary *goexe.Binary
	// Path leads to the file, whatever has become of its name.
	Path string
	// Close lets go of the file.
	Close func() error
}

// LocalHost is the one that this process runs on.
type LocalHost struct {
	known goexe.Cache
}

// Now returns the time in ns of CLOCK_MONOTONIC.
func (h *LocalHost) Now() int64 { return lifecycle.Now() }

// Open analyses an executable.
func (h *LocalHost) Open(file *os.File) (*Executable, error) {
	path := fmt.Sprintf("/proc/self/fd/%d", file.Fd())
	binary, err := h.known.Open(path)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Executable{Binary: binary, Path: path, Close: func() error { return errors.Join(binary.Close(), file.Close()) }}, nil
}

// Bias returns how far above its link-time addresses the process's executable lies.
func (h *LocalHost) Bias(p processes.Process, b *goexe.Binary) (uint64, error) { return p.Bias(b.Base) }

// Goroutines reads them out of the process's memory.
func (h *LocalHost) Goroutines(ctx context.Context, pid int, b *goexe.Binary, bias uint64, stacks bool, visit func(snapshot.Goroutine) error) error {
	source := snapshot.Source{PID: pid, Binary: b, Bias: bias, Stacks: stacks}
	return source.Each(ctx, visit)
}

// Channels reads them out of the process's memory.
func (h *LocalHost) Channels(ctx context.Context, pid int, b *goexe.Binary, bias, g, goid uint64) []lifecycle.Hchan {
	return snapshot.Source{PID: pid, Binary: b, Bias: bias}.Channels(ctx, g, goid)
}

// Look returns what counts the goroutines of a process by a look at its memory.
func (h *LocalHost) Look(pid int, b *goexe.Binary, bias uint64) Look {
	return survey.NewLook(pid, b, bias)
}

// GoesOn tells whether a process lives whose first thread has exited.
func (h *LocalHost) GoesOn(pid int) bool { return processes.SurvivesFirstThread(pid) }

// CPUTime returns how much processor time a process has used.
func (h *LocalHost) CPUTime(pid int) (time.Duration, error) { return processes.CPUTime(pid) }

// CPUMeter returns what reads the processor time that a process gets, and does not get, from now on.
func (h *LocalHost) CPUMeter(p processes.Process) *cpuusage.Meter { return cpuusage.NewMeter(p) }
