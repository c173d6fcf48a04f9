//go:build linux

// Package survey counts the goroutines of processes by looking at their memory at each collection: nothing is attached to them, and
// between two looks nothing is done at all.
package survey

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/capability"
	"github.com/otelgoroutine/goroutinereceiver/internal/cpuusage"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
	"github.com/otelgoroutine/goroutinereceiver/internal/snapshot"
	"github.com/otelgoroutine/goroutinereceiver/internal/telemetry"
	"github.com/otelgoroutine/goroutinereceiver/internal/waitstats"
)

// ErrPermission is wrapped by the error that names the capability that is missing.
var ErrPermission = errors.New("missing privilege")

// Options say what is looked at and how.
type Options struct {
	Selection processes.Selection
	// BlockedAfter is for how long a goroutine waits until it counts as blocked.
	BlockedAfter time.Duration
	// Resource describes a process. It may wait for the process's memory.
	Resource func(processes.Process, *goexe.Binary) pcommon.Resource
	Logger   *zap.Logger
	// Problem is called with each process that cannot be looked at, Followed with each that can. Both are called by Collect.
	Problem  func(processes.Process, error)
	Followed func(processes.Process)
}

// Surveyor looks at all processes that count.
type Surveyor struct {
	options Options
	found   *processes.Registry
	known   goexe.Cache
	stopped context.Context
	stop    context.CancelFunc
	number  atomic.Int64 // of processes
	slots   chan struct{}

	mu        sync.Mutex // guards what follows; held by Collect, and by Stop when all collections have ended
	processes map[int]*process
	joining   map[int]*joining
}

// maxAtOnce is how many processes are looked at or analysed at a time: it takes memory, up to some 40 MiB for each that claims to have
// millions of goroutines.
const maxAtOnce = 8

// New returns a Surveyor. Its error wraps ErrPermission if the kernel would not let it read other processes' memory.
func New(o Options) (*Surveyor, error) {
	if lacking := capability.Missing(unix.CAP_SYS_PTRACE); len(lacking) > 0 {
		return nil, fmt.Errorf("%w: reading the goroutines of other processes needs %s", ErrPermission, strings.Join(lacking, ", "))
	}
	if _, err := telemetry.BootID(); err != nil {
		return nil, err
	}
	s := &Surveyor{
		options: o, slots: make(chan struct{}, maxAtOnce),
		processes: map[int]*process{}, joining: map[int]*joining{},
	}
	s.stopped, s.stop = context.WithCancel(context.Background())
	s.found = processes.New(processes.Options{Selection: o.Selection, Logger: o.Logger, OnProblem: s.fail})
	return s, nil
}

// Start does nothing: the first look is at the first collection.
func (s *Surveyor) Start() {}

// Stop ends a collection that runs, and lets go of all processes. What waits for a file or for a process's memory is left to end when that
// comes.
func (s *Surveyor) Stop(ctx context.Context) error {
	s.stop()
	released := make(chan error, 1)
	go func() { released <- s.release() }()
	select {
	case err := <-released:
		return err
	case <-ctx.Done():
		return fmt.Errorf("let go of processes: %w", ctx.Err())
	}
}

func (s *Surveyor) release() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for pid := range s.processes {
		errs = append(errs, s.leave(pid))
	}
	s.found.Close()
	return errors.Join(errs...)
}

// Health returns how many processes are looked at. There are no probes that could see or lose anything.
func (s *Surveyor) Health() (processes int, none lifecycle.Counts) { return int(s.number.Load()), none }

// Collect looks at all processes, as far as ctx allows. One that does not let itself be looked at costs no other its figures.
func (s *Surveyor) Collect(ctx context.Context) ([]telemetry.ProcessStats, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.stopped, cancel)()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	errs := []error{s.sweep(ctx)}
	s.count(ctx)
	var all []telemetry.ProcessStats
	for pid, p := range s.processes {
		switch err := p.err; {
		case err == nil:
			all = append(all, p.figures())
		case ctx.Err() != nil:
			errs = append(errs, err)
		case errors.Is(err, unix.ESRCH):
			errs = append(errs, s.leave(pid)) // it has ended meanwhile
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, snapshot.ErrBlocked):
			errs = append(errs, s.leave(pid)) // it must not delay the others each time
			s.found.Refuse(p.Process, err)
		default:
			errs = append(errs, err)
		}
	}
	s.number.Store(int64(len(s.processes)))
	return all, errors.Join(errs...)
}

// sweep finds the processes that count now.
func (s *Surveyor) sweep(ctx context.Context) error {
	seen, err := s.found.Scan(ctx)
	if err != nil {
		return err
	}
	lives := func(p processes.Process) bool {
		now, lives := seen.Live[p.PID]
		return lives && (!now.Known() || now.Same(p))
	}
	for pid, p := range s.processes {
		if !lives(p.Process) {
			err = errors.Join(err, s.leave(pid))
		}
	}
	for pid, j := range s.joining {
		if !lives(j.Process) {
			s.abandon(pid)
		}
	}
	for _, p := range seen.Found {
		if s.processes[p.PID] == nil && s.joining[p.PID] == nil {
			s.joining[p.PID] = s.join(p)
		}
	}
	return errors.Join(err, s.await(ctx))
}

// count counts the goroutines of all processes.
func (s *Surveyor) count(ctx context.Context) {
	var counting sync.WaitGroup
	for _, p := range s.processes {
		counting.Go(func() {
			s.slots <- struct{}{}
			defer func() { <-s.slots }()
			p.counted, p.err = p.look.Count(ctx, s.options.BlockedAfter)
		})
	}
	counting.Wait()
}

func (s *Surveyor) fail(p processes.Process, err error) {
	s.options.Logger.Warn("Process cannot be looked at", zap.Int("pid", p.PID), zap.String("executable", p.Executable), zap.Error(err))
	s.options.Problem(p, err)
}

func (s *Surveyor) leave(pid int) error {
	p := s.processes[pid]
	delete(s.processes, pid)
	return p.binary.Close()
}

// process is one that is looked at.
type process struct {
	processes.Process
	binary    *goexe.Binary
	look      *Look
	telemetry *telemetry.Process
	cpu       *cpuusage.Meter
	since     int64
	watch     waitstats.Watch

	// What the last look found.
	counted waitstats.Count
	err     error
}

// figures returns what the last look has found.
func (p *process) figures() telemetry.ProcessStats {
	f := telemetry.ProcessStats{Process: p.telemetry, Start: p.since, Time: lifecycle.Now(), CPU: p.cpu.Read(), CountsOnly: true}
	f.Found(p.counted)
	f.Changes = p.watch.Update(p.counted.Blocked)
	return f
}
