package follow

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/overhead"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
)

// program is an executable file with its probes, and how many processes they are for.
type program struct {
	binary     *goexe.Binary
	file       *os.File
	attachment engine.Attachment // nil while the budget allows no probes; set by govern only
	syscalls   bool              // as the governor wants it, or wanted it
	governor   *overhead.Governor
	processes  map[int]*process
	observed   int64 // when the governor was last told what they cost, in ns of CLOCK_MONOTONIC
	users      int
	idle       time.Time // since when there are none
	closed     chan struct{}
}

// path returns a path by which the executable can be opened, whatever has become of its name.
func (p *program) path() string { return fmt.Sprintf("/proc/self/fd/%d", p.file.Fd()) }

// attach puts the probes on the executable that a process runs, and then considers the process again, and all others that have begun to
// run it meanwhile. It does so in the background: the kernel may take tenths of a second.
func (f *Follower) attach(p processes.Process) {
	waiting, under := f.attaching[p.File]
	f.attaching[p.File] = append(waiting, p)
	if under {
		return
	}
	f.running.Go(func() {
		attached, err := f.open(p)
		f.mu.Lock()
		waiting := f.attaching[p.File]
		delete(f.attaching, p.File)
		if err != nil {
			f.found.RefuseFile(p, err)
		} else {
			f.warnOfCost(p, attached.binary)
			f.programs[p.File] = attached
			f.followNewcomers(attached)
			f.closing.Go(func() { f.govern(attached) })
		}
		f.mu.Unlock()
		if err == nil {
			for _, p := range waiting {
				if now, err := processes.Read(p.PID); err == nil && now.Same(p) {
					f.consider(p, 0)
				}
			}
		}
	})
}

// followNewcomers lets the kernel follow processes that begin to run an executable, if such may count.
func (f *Follower) followNewcomers(p *program) {
	if !f.options.Selection.Open() || p.attachment == nil {
		return
	}
	if err := p.attachment.FollowNewcomers(f.options.Settings); err != nil {
		f.options.Logger.Warn("The first goroutines of new processes may be missed", zap.Error(err))
	}
}

// open analyses the executable that a process runs and puts the probes on it. The process may end meanwhile.
func (f *Follower) open(p processes.Process) (*program, error) {
	file, err := f.found.Open(p.File)
	if err != nil {
		return nil, err
	}
	opened := &program{file: file, syscalls: true, processes: map[int]*process{}, idle: time.Now(), closed: make(chan struct{})}
	if opened.binary, err = f.known.Open(opened.path()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if opened.attachment, err = f.engine.Attach(opened.binary, opened.path(), engine.AttachOptions{Syscalls: f.options.Syscalls}); err != nil {
		return nil, errors.Join(err, opened.binary.Close(), file.Close())
	}
	seesSyscalls := slices.ContainsFunc(opened.binary.Sites, func(s goexe.Site) bool { return s.Syscall })
	opened.governor = overhead.NewGovernor(overhead.Options{
		Limits: f.options.Overhead, Arbiter: f.arbiter, Syscalls: f.options.Syscalls && seesSyscalls, Sampled: f.options.Settings.SamplingRatio > 0,
	})
	opened.observed = lifecycle.Now()
	return opened, nil
}

// warnOfCost says which probes the kernel must single-step.
func (f *Follower) warnOfCost(p processes.Process, b *goexe.Binary) {
	for _, s := range b.Sites {
		if s.Cost == goexe.SingleStepped && (f.options.Syscalls || !s.Syscall) {
			f.options.Logger.Warn("A probe has no cheap place: each of its hits takes the kernel two traps, some ten times as long as others",
				zap.String("executable", p.Executable), zap.String("function", s.Function))
		}
	}
}

// detach lets go of an executable for one process.
func (f *Follower) detach(file processes.File) {
	p := f.programs[file]
	if p.users--; p.users == 0 {
		p.idle = time.Now()
	}
}

// linger is how long probes stay on an executable that no process runs: it may be started again at once.
const linger = 5 * time.Second

// closeIdle closes programs that no process has run for longer than a time.
func (f *Follower) closeIdle(after time.Duration) {
	for file, p := range f.programs {
		if p.users > 0 || time.Since(p.idle) < after {
			continue
		}
		delete(f.programs, file)
		close(p.closed)
	}
}

// close takes a program's probes away. That takes the kernel tenths of a second, in which events go on.
func (f *Follower) close(p *program) {
	p.governor.Close()
	var err error
	if p.attachment != nil {
		err = p.attachment.Close()
	}
	if err = errors.Join(err, p.binary.Close(), p.file.Close()); err != nil {
		f.options.Logger.Warn("Probes could not be removed", zap.Error(err))
	}
}
