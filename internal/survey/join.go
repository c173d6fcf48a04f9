//go:build linux

package survey

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/cpuusage"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
	"github.com/otelgoroutine/goroutinereceiver/internal/snapshot"
	"github.com/otelgoroutine/goroutinereceiver/internal/telemetry"
)

// joining is a process that is about to be looked at. What must be known before may take long, or never come: the file system of its
// executable, or the process's memory, may not answer.
type joining struct {
	processes.Process
	ctx     context.Context // of the wish to look at it
	abandon context.CancelFunc
	joined  chan joined
	late    bool
}

// joined is what has become of it.
type joined struct {
	process *process
	err     error
	ofFile  bool // the error is about the executable
}

// join begins to find out what must be known of a process. What takes longer than patience no longer keeps others from it.
func (s *Surveyor) join(p processes.Process) *joining {
	j := &joining{Process: p, joined: make(chan joined)}
	j.ctx, j.abandon = context.WithCancel(s.stopped)
	go func() {
		s.slots <- struct{}{}
		defer func() { <-s.slots }()
		ended := make(chan struct{})
		go func() {
			found := s.prepare(j.ctx, p)
			close(ended)
			j.deliver(found)
		}()
		select {
		case <-ended:
		case <-time.After(patience):
		}
	}()
	return j
}

// deliver hands over what was found out, unless nobody wants it any more.
func (j *joining) deliver(found joined) {
	select {
	case j.joined <- found:
	case <-j.ctx.Done():
		if found.process != nil {
			_ = found.process.binary.Close() // it was only read
		}
	}
}

// await waits for what is found out, for what is late only if it is there.
func (j *joining) await(ctx context.Context) (found joined, ok bool) {
	if j.late {
		select {
		case found = <-j.joined:
			return found, true
		default:
			return found, false
		}
	}
	select {
	case found = <-j.joined:
		return found, true
	case <-ctx.Done():
		return found, false
	}
}

// prepare finds out what must be known of a process.
func (s *Surveyor) prepare(ctx context.Context, p processes.Process) joined {
	binary, err := s.open(p)
	if err != nil {
		return joined{err: err, ofFile: true}
	}
	found, err := s.locate(ctx, p, binary)
	if err != nil {
		_ = binary.Close()
		return joined{err: err}
	}
	return joined{process: found}
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

// locate finds a process's goroutines, and what describes it.
func (s *Surveyor) locate(ctx context.Context, p processes.Process, binary *goexe.Binary) (*process, error) {
	bias, err := p.Bias(binary.Base)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := (snapshot.Source{PID: p.PID, Binary: binary, Bias: bias}).Each(ctx, func(snapshot.Goroutine) error { return nil }); err != nil {
		return nil, err
	}
	identity := telemetry.IdentityOf(p)
	program := telemetry.Program{Symbols: binary, WaitReasons: binary.WaitReasons, Modules: binary.Modules}
	return &process{
		Process: p, binary: binary, look: NewLook(p.PID, binary, bias), cpu: cpuusage.NewMeter(p), since: lifecycle.Now(),
		telemetry: telemetry.NewProcess(identity, s.options.Resource(p, binary), program, bias),
	}, nil
}

// await takes the processes of which everything is known, and waits for others as long as ctx and patience allow.
func (s *Surveyor) await(ctx context.Context) error {
	still, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for pid, j := range s.joining {
		found, ok := j.await(still)
		switch {
		case ok:
			s.abandon(pid)
			s.take(j.Process, found)
		case ctx.Err() != nil:
			return ctx.Err()
		case !j.late:
			j.late = true
			s.found.Refuse(j.Process, fmt.Errorf("%w: process %d, or the file system of its executable", processes.ErrNoAnswer, pid))
		}
	}
	return nil
}

// abandon forgets a process that is about to be looked at.
func (s *Surveyor) abandon(pid int) {
	s.joining[pid].abandon()
	delete(s.joining, pid)
}

// take begins to look at a process, or refuses it.
func (s *Surveyor) take(p processes.Process, found joined) {
	switch {
	case found.process != nil:
		s.processes[p.PID] = found.process
		s.options.Logger.Info("Looking at process", zap.Int("pid", p.PID), zap.String("executable", p.Executable), zap.String("go", found.process.binary.GoVersion))
		s.options.Followed(p)
	case found.ofFile:
		s.found.RefuseFile(p, found.err)
	default:
		s.found.Refuse(p, found.err)
	}
}
