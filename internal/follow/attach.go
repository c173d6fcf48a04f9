package follow

import (
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/probe"
	"github.com/otelgoroutine/goroutinereceiver/internal/target"
)

// program is an executable file with its probes, and how many processes they are for.
type program struct {
	binary     *goexe.Binary
	attachment *probe.Attachment
	users      int
	idle       time.Time // since when there are none
}

// attach puts the probes on the executable that a process runs, and then considers the process again, and all others that have begun to
// run it meanwhile. It does so in the background: the kernel may take tenths of a second.
func (f *Follower) attach(p target.Process) {
	waiting, under := f.attaching[p.File]
	f.attaching[p.File] = append(waiting, p.PID)
	if under {
		return
	}
	f.running.Go(func() {
		attached, err := f.open(p)
		f.mu.Lock()
		waiting := f.attaching[p.File]
		delete(f.attaching, p.File)
		if err != nil {
			f.refuse(p, err)
		} else {
			f.warnOfCost(p, attached.binary)
			f.programs[p.File] = attached
			f.followNewcomers(attached)
		}
		f.mu.Unlock()
		for _, pid := range waiting {
			f.consider(pid, 0)
		}
	})
}

// followNewcomers lets the kernel follow processes that begin to run an executable, if such may count.
func (f *Follower) followNewcomers(p *program) {
	if !f.options.Selection.Open() {
		return
	}
	if err := p.attachment.FollowNewcomers(f.options.Settings); err != nil {
		f.options.Logger.Warn("The first goroutines of new processes may be missed", zap.Error(err))
	}
}

// open analyses the executable that a process runs and puts the probes on it. The process may end meanwhile.
func (f *Follower) open(p target.Process) (*program, error) {
	file, err := os.Open(p.ExecutablePath())
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %d", target.ErrNoProcess, p.PID)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	path := fmt.Sprintf("/proc/self/fd/%d", file.Fd())
	binary, err := f.known.Open(path)
	if err != nil {
		return nil, err
	}
	attachment, err := f.tracer.Attach(binary, path, f.options.Syscalls)
	if err != nil {
		return nil, errors.Join(err, binary.Close())
	}
	return &program{binary: binary, attachment: attachment, idle: time.Now()}, nil
}

// warnOfCost says which probes the kernel must single-step.
func (f *Follower) warnOfCost(p target.Process, b *goexe.Binary) {
	for _, s := range b.Sites {
		if s.Cost == goexe.SingleStepped && (f.options.Syscalls || !s.Syscall) {
			f.options.Logger.Warn("A probe has no cheap place: each of its hits takes the kernel two traps, some ten times as long as others",
				zap.String("executable", p.Executable), zap.String("function", s.Function))
		}
	}
}

// detach lets go of an executable for one process.
func (f *Follower) detach(file target.File) {
	p := f.programs[file]
	if p.users--; p.users == 0 {
		p.idle = time.Now()
	}
}

// linger is how long probes stay on an executable that no process runs: it may be started again at once.
const linger = 5 * time.Second

// closeIdle takes the probes from executables that no process has run for longer than a time. That takes the kernel tenths of a second,
// in which events go on.
func (f *Follower) closeIdle(after time.Duration) {
	for file, p := range f.programs {
		if p.users > 0 || time.Since(p.idle) < after {
			continue
		}
		delete(f.programs, file)
		f.closing.Go(func() {
			if err := errors.Join(p.attachment.Close(), p.binary.Close()); err != nil {
				f.options.Logger.Warn("Probes could not be removed", zap.Error(err))
			}
		})
	}
}
