//go:build linux

package goroutinereceiver

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/metadata"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
)

// status is the component's: a recoverable error as long as any process that counts cannot be followed. The collector has an instance of the
// component for each signal, with a host of its own; all are told the same.
type status struct {
	mu       sync.Mutex
	hosts    []component.Host
	last     *componentstatus.Event // nil while nothing was reported
	problems map[int]error          // by process
	look     *time.Timer            // when it is looked next which of these have ended
	closed   bool
}

// recheck is how often it is looked which processes with a problem have ended.
const recheck = 5 * time.Second

func newStatus() *status { return &status{problems: map[int]error{}} }

// join adds the host of another signal, which is told what the others know.
func (s *status) join(host component.Host) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hosts = append(s.hosts, host)
	if s.last != nil {
		componentstatus.ReportStatus(host, s.last)
	}
}

// fail reports that nothing can be followed at all, for good.
func (s *status) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report(componentstatus.NewPermanentErrorEvent(err))
	s.closed = true
}

// problem reports that a process cannot be followed.
func (s *status) problem(p processes.Process, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problems[p.PID] = fmt.Errorf("process %d (%s): %w", p.PID, p.Executable, err)
	s.tell()
	if s.look == nil {
		s.look = time.AfterFunc(recheck, s.forgetEnded)
	}
}

// followed reports that a process is followed.
func (s *status) followed(p processes.Process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.problems, p.PID)
	s.tell()
}

// forgetEnded takes back the problems of processes that have ended.
func (s *status) forgetEnded() {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.problems)
	maps.DeleteFunc(s.problems, func(pid int, err error) bool {
		// That one which was named by its id is not there stays a problem.
		return !errors.Is(err, processes.ErrNoProcess) && errors.Is(unix.Kill(pid, 0), unix.ESRCH)
	})
	if len(s.problems) < before {
		s.tell()
	}
	if s.look = nil; len(s.problems) > 0 && !s.closed {
		s.look = time.AfterFunc(recheck, s.forgetEnded)
	}
}

// close ends all reports.
func (s *status) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.look != nil {
		s.look.Stop()
	}
}

// tell reports what the problems amount to.
func (s *status) tell() {
	if len(s.problems) == 0 {
		s.report(componentstatus.NewEvent(componentstatus.StatusOK))
		return
	}
	err := s.problems[slices.Min(slices.Collect(maps.Keys(s.problems)))]
	if more := len(s.problems) - 1; more > 0 {
		err = fmt.Errorf("%w; and %d more", err, more)
	}
	s.report(componentstatus.NewRecoverableErrorEvent(err))
}

func (s *status) report(e *componentstatus.Event) {
	if s.closed || s.last != nil && s.last.Status() == e.Status() && sameText(s.last.Err(), e.Err()) {
		return
	}
	s.last = e
	for _, host := range s.hosts {
		componentstatus.ReportStatus(host, e)
	}
}

func sameText(a, b error) bool {
	return a == nil && b == nil || a != nil && b != nil && a.Error() == b.Error()
}

// problem is called with each process that counts and cannot be followed, followed with each that can.
func (s *shared) problem(p processes.Process, err error) {
	reason := reasonOf(err)
	s.health.ReceiverGoroutineAttachFailures.Add(context.Background(), 1, because(reason))
	if reason == metadata.AttributeReasonRefused {
		s.refused(p, err)
	}
	s.status.problem(p, err)
}

// refused is called with each process that does not permit trampolines.
func (s *shared) refused(_ processes.Process, err error) {
	s.health.ReceiverGoroutineTrampolineRefusals.Add(context.Background(), 1, because(refusalOf(err)))
}

func because(reason fmt.Stringer) metric.AddOption {
	return metric.WithAttributes(attribute.String("reason", reason.String()))
}

func (s *shared) followed(p processes.Process) { s.status.followed(p) }
