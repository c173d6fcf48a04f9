//go:build linux

package processes

import (
	"context"
	"maps"
	"os"
	"sync"
	"time"

	"go.uber.org/zap"
)

// Options say which processes are found.
type Options struct {
	Selection Selection
	Logger    *zap.Logger
	// OnProblem is called once with each process that counts and that cannot be used, and with one of the processes of each such file. It is
	// called by the methods of the Registry.
	OnProblem func(Process, error)
}

// Registry finds the processes that count, and remembers those that were refused. It is safe for concurrent use.
type Registry struct {
	options Options
	system  system
	selects func(Process) bool
	slots   slots
	told    sync.Once

	mu       sync.Mutex // guards what follows; never held while anything waits for a file or a process
	records  map[int]*record
	refused  map[stamp]*refusal
	missing  map[int]error // named by their ids, and not there
	turns    map[place]*turnstile
	problems []problem // not reported yet
}

// New returns a Registry.
func New(o Options) *Registry {
	return newRegistry(o, newLinux())
}

func newRegistry(o Options, s system) *Registry {
	return &Registry{
		options: o, system: s, selects: o.Selection.Selects, slots: make(slots, maxInspections),
		records: map[int]*record{}, refused: map[stamp]*refusal{}, turns: map[place]*turnstile{},
	}
}

// Close lets go of all files.
func (r *Registry) Close() { r.system.close() }

// Open returns a descriptor of the file that is identified so, which the caller closes.
func (r *Registry) Open(f File) (*os.File, error) { return r.system.open(f) }

// Sight is what a scan saw.
type Sight struct {
	// Found are the processes that count and can be used, as far as is known.
	Found []Process
	// Live are all processes by their ids. Those of which nothing could be read yet are not Known, and those that were never found have no
	// File.
	Live map[int]Process
}

// Scan looks at all processes. What makes it wait for longer than a moment, as a file system that does not answer, is left to a later Scan.
func (r *Registry) Scan(ctx context.Context) (Sight, error) {
	pids, err := r.system.list()
	if err != nil {
		return Sight{}, err
	}
	var begun []<-chan struct{}
	for _, pid := range pids {
		if i := r.consider(pid); i != nil {
			begun = append(begun, i.done)
		}
	}
	await(ctx, begun)
	seen := r.sight(pids)
	r.told.Do(func() { r.tell(seen) })
	return seen, ctx.Err()
}

// sight returns what is known now of the processes that live, and forgets others.
func (r *Registry) sight(pids []int) Sight {
	r.mu.Lock()
	defer r.unlock()
	seen := Sight{Live: make(map[int]Process, len(pids))}
	needed := map[File]bool{}
	now := time.Now()
	for _, pid := range pids {
		known := r.records[pid]
		if known == nil {
			known = &record{}
			r.records[pid] = known
		}
		seen.Live[pid] = known.Process
		if known.File != 0 {
			needed[known.File] = true
		}
		r.reportSilence(known, now)
		if known.usable(now) {
			seen.Found = append(seen.Found, known.Process)
		}
	}
	maps.DeleteFunc(r.records, func(pid int, known *record) bool {
		_, lives := seen.Live[pid]
		return !lives && known.inspecting == nil
	})
	r.system.keep(needed)
	r.reportMissing(seen.Live)
	return seen
}

// problem is a process that cannot be used, and why.
type problem struct {
	Process
	err error
}

// unlock reports problems, too. Only methods that are called from outside use it, so that problems are reported in their time.
func (r *Registry) unlock() {
	problems := r.problems
	r.problems = nil
	r.mu.Unlock()
	for _, p := range problems {
		r.options.OnProblem(p.Process, p.err)
	}
}

// reportMissing reports processes that were named by their ids and are not there.
func (r *Registry) reportMissing(live map[int]Process) {
	missing := r.options.Selection.missing(live)
	for pid, err := range missing {
		if r.missing[pid] == nil {
			r.problems = append(r.problems, problem{Process{PID: pid}, err})
		}
	}
	r.missing = missing
}

// Look looks at one process anew, as after it has executed a program, and tells whether it counts and can be used, for all that is known of
// its file: that it was refused itself is forgotten. The error wraps ErrNoProcess if there is none, and ErrNoAnswer if that is not known
// yet.
func (r *Registry) Look(ctx context.Context, pid int) (Process, bool, error) {
	known, i := r.begin(pid)
	await(ctx, []<-chan struct{}{i.done})
	r.mu.Lock()
	defer r.unlock()
	if !i.ended() {
		return Process{PID: pid}, false, noAnswer(pid)
	}
	if known.state == selected {
		known.retry.next = time.Time{}
	}
	return known.Process, known.state == selected, i.err
}
