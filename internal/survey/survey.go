//go:build linux

// Package survey counts the goroutines of processes by looking at their memory at each collection: nothing is attached to them, and
// between two looks nothing is done at all.
package survey

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/capability"
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
	// Resource describes a process.
	Resource func(processes.Process, *goexe.Binary) pcommon.Resource
	Logger   *zap.Logger
	// Problem is called with each process that cannot be looked at, Followed with each that can.
	Problem  func(processes.Process, error)
	Followed func(processes.Process)
}

// Surveyor looks at all processes that count.
type Surveyor struct {
	options Options
	bootID  string
	found   *processes.Registry
	known   goexe.Cache

	mu        sync.Mutex
	processes map[int]*process
}

// process is one that is looked at.
type process struct {
	processes.Process
	binary    *goexe.Binary
	look      *Look
	telemetry *telemetry.Process
	since     int64
	watch     waitstats.Watch
}

// New returns a Surveyor. Its error wraps ErrPermission if the kernel would not let it read other processes' memory.
func New(o Options) (*Surveyor, error) {
	if lacking := capability.Missing(unix.CAP_SYS_PTRACE); len(lacking) > 0 {
		return nil, fmt.Errorf("%w: reading the goroutines of other processes needs %s", ErrPermission, strings.Join(lacking, ", "))
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, err
	}
	s := &Surveyor{options: o, bootID: strings.TrimSpace(string(boot)), processes: map[int]*process{}}
	s.found = processes.New(processes.Options{Selection: o.Selection, Logger: o.Logger, OnProblem: s.fail})
	return s, nil
}

// Start does nothing: the first look is at the first collection.
func (s *Surveyor) Start() {}

// Stop lets go of all processes.
func (s *Surveyor) Stop(context.Context) error {
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
func (s *Surveyor) Health() (processes int, none lifecycle.Counts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.processes), none
}

// Collect looks at all processes.
func (s *Surveyor) Collect(ctx context.Context) ([]telemetry.ProcessStats, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []telemetry.ProcessStats
	errs := []error{s.sweep(ctx)}
	for pid, p := range s.processes {
		f, err := p.figures(s.options.BlockedAfter)
		switch {
		case errors.Is(err, unix.ESRCH):
			errs = append(errs, s.leave(pid)) // it has ended meanwhile
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, snapshot.ErrBlocked):
			errs = append(errs, s.leave(pid)) // it must not delay the others each time
			s.found.Refuse(p.Process, err)
		case err != nil:
			errs = append(errs, err)
		default:
			all = append(all, f)
		}
	}
	return all, errors.Join(errs...)
}

// sweep finds the processes that count now.
func (s *Surveyor) sweep(ctx context.Context) error {
	seen, err := s.found.Scan(ctx)
	if err != nil {
		return err
	}
	for pid, p := range s.processes {
		if now, lives := seen.Live[pid]; !lives || now.Known() && !now.Same(p.Process) {
			err = errors.Join(err, s.leave(pid))
		}
	}
	for _, p := range seen.Found {
		if s.processes[p.PID] == nil {
			s.consider(p)
		}
	}
	return err
}

// consider begins to look at a process.
func (s *Surveyor) consider(p processes.Process) {
	binary, err := s.open(p)
	if err != nil {
		s.found.RefuseFile(p, err)
		return
	}
	if err := s.join(p, binary); err != nil {
		_ = binary.Close()
		s.found.Refuse(p, err)
		return
	}
	s.options.Followed(p)
}

// open analyses the executable of a process.
func (s *Surveyor) open(p processes.Process) (*goexe.Binary, error) {
	file, err := s.found.Open(p.File)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return s.known.Open(fmt.Sprintf("/proc/self/fd/%d", file.Fd()))
}

func (s *Surveyor) fail(p processes.Process, err error) {
	s.options.Logger.Warn("Process cannot be looked at", zap.Int("pid", p.PID), zap.String("executable", p.Executable), zap.Error(err))
	s.options.Problem(p, err)
}

func (s *Surveyor) join(p processes.Process, binary *goexe.Binary) error {
	bias, err := p.Bias(binary.Base)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := (snapshot.Source{PID: p.PID, Binary: binary, Bias: bias}).Read(ctx); err != nil {
		return err
	}
	identity := telemetry.Identity{BootID: s.bootID, PID: p.PID, StartTime: p.StartTime}
	joined := &process{
		Process: p, binary: binary, look: NewLook(p.PID, binary, bias), since: lifecycle.Now(),
		telemetry: telemetry.NewProcess(identity, s.options.Resource(p, binary), telemetry.Program{Symbols: binary, WaitReasons: binary.WaitReasons}, bias),
	}
	s.processes[p.PID] = joined
	s.options.Logger.Info("Looking at process", zap.Int("pid", p.PID), zap.String("executable", p.Executable), zap.String("go", binary.GoVersion))
	return nil
}

func (s *Surveyor) leave(pid int) error {
	p := s.processes[pid]
	delete(s.processes, pid)
	return p.binary.Close()
}

// figures counts the goroutines that the process has now.
func (p *process) figures(blockedAfter time.Duration) (telemetry.ProcessStats, error) {
	c, err := p.look.Count(blockedAfter)
	f := telemetry.ProcessStats{Process: p.telemetry, Start: p.since, Time: lifecycle.Now(), CountsOnly: true}
	f.Found(c)
	f.Changes = p.watch.Update(c.Blocked)
	return f, err
}
