//go:build linux

package inject

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
)

// Installed is a process with trampolines. Its methods are not safe for concurrent use, but for Gone.
type Installed struct {
	p      *process
	shared *shared
	memory *ring.Memory
	// jumps are what to take away.
	jumps []swap
	// adopted tells that all was there already, removed that the jumps are gone.
	adopted bool
	removed atomic.Bool
	// removals bounds how long a removal is waited for.
	removals processes.Guard
}

// installLimit and removeLimit are how long an installation and a removal are waited for: the kernel answers no question about memory of which a part is
// being waited for.
var installLimit, removeLimit = 30 * time.Second, 30 * time.Second

// installing has the ids of processes into which an installation goes on that nobody waits for any more.
var installing sync.Map

// Install puts trampolines into a process, or takes over those that a collector has left there. Its error wraps an engine.Refusal if the
// process or the machine does not permit that, and unix.ESRCH if the process has ended or executes another program by now; others may pass.
// After an error the process is as it was. It takes some seconds at the most, for all of which but some milliseconds the process runs; if the kernel
// does not answer, it is given up after installLimit, and undone when it ends.
func Install(pid int, program Program) (*Installed, error) {
	if _, is := installing.Load(pid); is {
		return nil, errNoAnswer
	}
	type result struct {
		in  *Installed
		err error
	}
	ended := make(chan result, 1)
	go func() {
		in, err := install(pid, program)
		ended <- result{in, err}
	}()
	select {
	case r := <-ended:
		return r.in, r.err
	case <-time.After(installLimit):
	}
	installing.Store(pid, nil)
	go func() {
		if r := <-ended; r.err == nil {
			_ = errors.Join(r.in.Remove(), r.in.Close()) // nobody is there to tell
		}
		installing.Delete(pid)
	}()
	return nil, errNoAnswer
}

func install(pid int, program Program) (*Installed, error) {
	p, err := program.open(pid)
	if err != nil {
		return nil, err
	}
	in := &Installed{p: p}
	if err := in.install(program); err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return in, nil
}

// answer returns an error if what is to be replaced cannot be read: nothing is asked, and no thread stopped, for memory that does not answer.
func (p *process) answer(sites []Site) error {
	parts := make([]part, 0, len(sites))
	for _, s := range sites {
		parts = append(parts, part{address: s.Address, b: make([]byte, len(s.Code))})
	}
	return p.readAll(parts)
}

func (in *Installed) install(program Program) error {
	if err := in.p.answer(program.Sites); err != nil {
		return err
	}
	all, err := in.p.check()
	if err != nil {
		return err
	}
	fresh, err := in.share(all, program)
	if err != nil {
		return err
	}
	if in.memory, err = ring.NewMemory(int(in.shared.file.Fd()), program.Geometry); err == nil {
		err = in.patch(program)
	}
	if err != nil && fresh && !isGone(err) {
		return errors.Join(err, in.p.withdraw(in.shared, program.Sites))
	}
	return err
}

// share gives the process memory that it shares with this one, and a page for trampolines, unless it has them. It reports whether they are
// new.
func (in *Installed) share(all mappings, program Program) (fresh bool, err error) {
	strays, err := in.p.strays()
	if err != nil {
		return false, err
	}
	left, err := in.p.leftover(all)
	if err != nil {
		return false, err
	}
	if left != nil {
		in.shared = left
		if err := left.lock(); err != nil {
			return false, err
		}
		fits, err := in.p.fits(left, all, program)
		if err != nil {
			return false, err
		}
		if fits {
			return false, errors.Join(in.p.closeDescriptors(strays), left.prepare(program.Geometry))
		}
		if err := errors.Join(in.p.undo(left, all), left.close()); err != nil {
			return false, err
		}
	}
	in.shared, err = in.p.share(all, strays, program)
	return true, err
}

// patch writes the trampolines and the jumps to them, unless they are there.
func (in *Installed) patch(program Program) error {
	code, jumps, err := program.assemble(in.shared)
	if err != nil {
		return err
	}
	in.jumps = jumps
	if there, err := in.p.read(in.shared.text, len(code)); err != nil {
		return err
	} else if !bytes.Equal(there, code) {
		if err := in.p.write(in.shared.text, code); err != nil {
			return err
		}
	} else if in.adopted, err = in.p.has(jumps); err != nil || in.adopted {
		return err
	}
	if err := in.shared.setWord(ring.OffCodeSize, uint64(len(code))); err != nil {
		return err
	}
	if err := in.shared.setPatches(program.Sites); err != nil {
		return err
	}
	slots, err := in.p.slots()
	if err != nil {
		return err
	}
	return in.p.trace(func(t *tracer) error {
		if err := t.stopAll(); err != nil {
			return err
		}
		if err := t.write(jumps); err != nil {
			return err
		}
		_ = t.clean(slots) // what old stubs left harms nobody, and jumps that are there must have an owner
		return nil
	})
}

// assemble returns the trampolines, and the jumps to them.
func (program Program) assemble(s *shared) (code []byte, swaps []swap, err error) {
	code, jumps, err := program.Assemble(s.text, s.data)
	if err != nil {
		return nil, nil, engine.Refuse(engine.RefusedCode, "%w", err)
	}
	if len(code) == 0 || len(code) > TextSize || len(jumps) != len(program.Sites) {
		return nil, nil, engine.Refuse(engine.RefusedCode, "%d bytes of trampolines for %d of %d sites", len(code), len(jumps), len(program.Sites))
	}
	for i, j := range jumps {
		if site := program.Sites[i]; j.Address != site.Address || !bytes.Equal(j.Original, site.Code) || len(j.Code) != len(site.Code) {
			return nil, nil, fmt.Errorf("the jump at %#x does not replace the instruction at %#x", j.Address, site.Address)
		}
		swaps = append(swaps, swap{j.Address, j.Original, j.Code})
	}
	return code, swaps, nil
}

// has tells whether all jumps are in place.
func (p *process) has(jumps []swap) (bool, error) {
	for _, j := range jumps {
		if there, err := p.read(j.address, len(j.to)); err != nil || !bytes.Equal(there, j.to) {
			return false, err
		}
	}
	return true, nil
}

// Memory is what the process shares. It is usable until Close.
func (in *Installed) Memory() *ring.Memory { return in.memory }
