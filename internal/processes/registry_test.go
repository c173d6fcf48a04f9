//go:build linux

package processes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

// fake is a kernel whose processes a test makes up.
type fake struct {
	mu        sync.Mutex
	processes map[int]Process
	errs      map[string]error // of identifying the file at a path
	hangs     map[string]chan struct{}
	looks     map[string]int // how often a file was looked at
	reads     int
	forgotten []File
	needed    map[File]bool
}

func (f *fake) list() (pids []int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for pid := range f.processes {
		pids = append(pids, pid)
	}
	return pids, nil
}

func (f *fake) read(pid int) (Process, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	p, ok := f.processes[pid]
	if !ok {
		return Process{PID: pid}, noProcess(pid, os.ErrNotExist)
	}
	p.File = 0
	return p, nil
}

func (f *fake) link(pid int) string {
	p, _ := f.read(pid)
	return p.Executable
}

func (f *fake) mounts(int) string { return "" }

// look is what all that touches a file does.
func (f *fake) look(path string) error {
	f.mu.Lock()
	f.looks[path]++
	hangs := f.hangs[path]
	f.mu.Unlock()
	if hangs != nil {
		<-hangs
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.errs[path]
}

// looked returns how often a file was looked at, and how many files were.
func (f *fake) looked(path string) (times, files int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.looks[path], len(f.looks)
}

func (f *fake) inode(p Process) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return uint64(f.processes[p.PID].File)
}

func (f *fake) stamp(p Process) (stamp, error) {
	if err := f.look(p.Executable); err != nil && !final(err) {
		return stamp{}, err
	}
	return stamp{inode: f.inode(p)}, nil
}

func (f *fake) identify(p Process) (File, error) {
	if err := f.look(p.Executable); err != nil {
		return 0, err
	}
	return File(f.inode(p)), nil
}

func (f *fake) isGo(p Process) bool { return f.look(p.Executable) == nil }

func (f *fake) open(File) (*os.File, error) { return nil, errors.ErrUnsupported }

func (f *fake) forget(file File) { f.forgotten = append(f.forgotten, file) }

func (f *fake) keep(needed map[File]bool) { f.needed = needed }

func (f *fake) close() {}

// run makes a process run another program.
func (f *fake) run(pid int, path string, file File) Process {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := Process{PID: pid, StartTime: 1, Execution: f.processes[pid].Execution + 1, Executable: path, File: file}
	f.processes[pid] = p
	return p
}

func (f *fake) end(pid int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.processes, pid)
}

// fixture is a Registry of made-up processes.
type fixture struct {
	*testing.T
	*fake
	*Registry
	log  *observer.ObservedLogs
	told []string // problems
}

// withRegistry tests in a time of its own, which passes while all wait. No made-up process is the one that runs the test, whatever its id.
func withRegistry(t *testing.T, s Selection, test func(*fixture)) {
	s.Self = true
	synctest.Test(t, func(t *testing.T) {
		core, log := observer.New(zap.InfoLevel)
		x := &fixture{T: t, log: log, fake: &fake{processes: map[int]Process{}, errs: map[string]error{}, hangs: map[string]chan struct{}{}, looks: map[string]int{}}}
		x.Registry = newRegistry(Options{Selection: s, Logger: zap.New(core), OnProblem: func(p Process, err error) {
			x.told = append(x.told, fmt.Sprintf("%d: %v", p.PID, err))
		}}, x.fake)
		test(x)
		x.Close()
	})
}

// scan returns the ids of the processes that are found.
func (x *fixture) scan() (pids []int) {
	x.Helper()
	seen, err := x.Scan(x.Context())
	if err != nil {
		x.Fatal(err)
	}
	for _, p := range seen.Found {
		pids = append(pids, p.PID)
	}
	slices.Sort(pids)
	return pids
}

func (x *fixture) found(want ...int) {
	x.Helper()
	if got := x.scan(); !slices.Equal(got, want) {
		x.Errorf("found are %v, want %v", got, want)
	}
}

// foundAfter expects a process not to be found before a time has passed.
func (x *fixture) foundAfter(pid int, want time.Duration) {
	x.Helper()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		if !slices.Contains(x.scan(), pid) {
			continue
		}
		if took := time.Since(began); took < want-100*time.Millisecond || took > want+100*time.Millisecond {
			x.Errorf("process %d is found after %s, want %s", pid, took, want)
		}
		return
	}
}

func (x *fixture) tells(want ...string) {
	x.Helper()
	if !slices.Equal(x.told, want) {
		x.Errorf("problems are %q, want %q", x.told, want)
	}
	x.told = nil
}

var everything = Selection{Targets: []Selector{{All: true}}}

func TestScan(t *testing.T) {
	withRegistry(t, Selection{Targets: []Selector{{Executable: "/srv/*"}, {PID: 3}, {PID: 9}}}, func(x *fixture) {
		x.run(1, "/srv/api", 1)
		x.run(2, "/bin/sh", 2)
		x.run(3, "/bin/go", 3)
		x.found(1, 3)
		x.tells("9: no such process: 9")
		x.found(1, 3)
		x.tells()
		if n, _ := x.looked("/bin/sh"); n != 0 {
			t.Error("the executable of a process that does not count was touched")
		}
		if !x.needed[1] || !x.needed[3] || len(x.needed) != 2 {
			t.Errorf("the files %v are needed", x.needed)
		}
		x.run(2, "/srv/api", 1)
		x.end(1)
		x.found(2, 3)
		x.run(9, "/bin/go", 3)
		x.found(2, 3, 9)
		x.end(9)
		x.found(2, 3)
		x.tells("9: no such process: 9")
	})
}

// TestIdle scans again and again while nothing changes.
func TestIdle(t *testing.T) {
	withRegistry(t, Selection{Targets: []Selector{{PID: 1}}}, func(x *fixture) {
		for pid := range 100 {
			x.run(pid, "/bin/program", 1)
		}
		x.found(1)
		time.Sleep(time.Hour)
		x.scan()
		looks, _ := x.looked("/bin/program")
		reads := x.reads
		x.scan()
		if n, _ := x.looked("/bin/program"); n != looks {
			t.Error("an executable is looked at again")
		}
		if n := x.reads - reads; n > 100 { // one, or the link of its executable
			t.Errorf("100 processes are read %d times", n)
		}
	})
}

// TestLaterSelected has a process that begins to count, as one that is put into another control group does.
func TestLaterSelected(t *testing.T) {
	withRegistry(t, everything, func(x *fixture) {
		counts := false
		x.selects = func(Process) bool { return counts }
		x.run(1, "/srv/api", 1)
		for range 100 {
			x.found()
			time.Sleep(2 * time.Second)
		}
		counts = true
		began := time.Now()
		for !slices.Contains(x.scan(), 1) {
			time.Sleep(2 * time.Second)
		}
		if took := time.Since(began); took > lastRetry+2*time.Second {
			t.Errorf("it is found after %s", took)
		}
	})
}

func TestExecution(t *testing.T) {
	withRegistry(t, everything, func(x *fixture) {
		first := x.run(1, "/srv/api", 1)
		x.found(1)
		second := x.run(1, "/srv/api", 1)
		seen, _ := x.Scan(x.Context())
		if seen.Found[0] != second || seen.Live[1].Same(first) || !seen.Live[1].Same(second) {
			t.Errorf("it is %+v, want %+v", seen, second)
		}
		x.Refuse(first, errors.New("late")) // of the program before
		x.found(1)
		x.Refuse(second, errors.New("it is being executed"))
		x.found()
		if _, counts, err := x.Look(x.Context(), 1); !counts || err != nil {
			t.Errorf("it is refused still: %v", err)
		}
		x.found(1)
	})
}

func TestLook(t *testing.T) {
	withRegistry(t, Selection{Targets: []Selector{{Executable: "/srv/*"}}}, func(x *fixture) {
		if _, _, err := x.Look(x.Context(), 1); !errors.Is(err, ErrNoProcess) {
			t.Errorf("the error is %v", err)
		}
		want := x.run(1, "/srv/api", 1)
		if p, counts, err := x.Look(x.Context(), 1); p != want || !counts || err != nil {
			t.Errorf("it is %+v, %v, %v", p, counts, err)
		}
		x.run(1, "/bin/sh", 2)
		if p, counts, err := x.Look(x.Context(), 1); p.Executable != "/bin/sh" || counts || err != nil {
			t.Errorf("it is %+v, %v, %v", p, counts, err)
		}
	})
}

// TestRefuse refuses a process again and again, and looks for when it is tried next.
func TestRefuse(t *testing.T) {
	withRegistry(t, everything, func(x *fixture) {
		p := x.run(1, "/srv/api", 1)
		x.run(2, "/srv/api", 1)
		x.found(1, 2)
		for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
			x.Refuse(p, unix.ENOMEM)
			x.found(2)
			x.foundAfter(1, want*time.Second)
		}
		x.tells("1: cannot allocate memory")
		x.Refuse(p, unix.EMFILE)
		x.tells("1: too many open files")
		time.Sleep(time.Hour)
		x.found(1, 2)
		x.Refuse(p, unix.EMFILE)
		x.foundAfter(1, firstRetry)
		x.Refuse(p, noProcess(1, os.ErrNotExist))
		x.tells()
		x.run(1, "/srv/api", 1) // another program is not refused
		x.found(1, 2)
	})
}

func TestRefuseFile(t *testing.T) {
	withRegistry(t, everything, func(x *fixture) {
		p := x.run(1, "/srv/api", 1)
		x.run(2, "/srv/api", 1)
		x.run(3, "/srv/other", 2)
		x.found(1, 2, 3)
		for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			x.RefuseFile(p, unix.EMFILE)
			x.found(3)
			x.foundAfter(2, want*time.Second)
			x.found(1, 2, 3)
		}
		if len(x.forgotten) == 0 || x.forgotten[0] != 1 {
			t.Errorf("forgotten are %v", x.forgotten)
		}
		x.RefuseFile(p, fmt.Errorf("refused: %w", notGo()))
		x.run(4, "/srv/api", 1)
		for range 1000 {
			x.found(3)
			time.Sleep(2 * time.Second)
		}
		x.run(4, "/srv/api", 5) // which was replaced
		if _, counts, err := x.Look(x.Context(), 4); !counts || err != nil {
			t.Errorf("a new file is refused: %v", err)
		}
		x.found(3, 4)
	})
}

// TestNoGoProgram says a word of those only that are named.
func TestNoGoProgram(t *testing.T) {
	withRegistry(t, Selection{Targets: []Selector{{All: true}, {PID: 2}}}, func(x *fixture) {
		x.errs["/bin/sh"] = notGo()
		x.errs["/bin/ls"] = notGo()
		x.run(1, "/bin/sh", 1)
		x.run(2, "/bin/ls", 2)
		x.run(3, "/srv/api", 3)
		x.found(3)
		x.tells("2: " + notGo().Error())
		looks, _ := x.looked("/bin/sh")
		time.Sleep(2 * time.Second)
		x.found(3)
		if n, _ := x.looked("/bin/sh"); n > looks+1 {
			t.Errorf("a file that is no Go program is looked at %d times more", n-looks)
		}
	})
}

func notGo() error {
	_, err := goexe.Identify(strings.NewReader("#!/bin/sh"))
	return err
}

// TestPassingError cannot look at a file for a while, as when too many are open.
func TestPassingError(t *testing.T) {
	withRegistry(t, everything, func(x *fixture) {
		x.errs["/srv/api"] = unix.EMFILE
		x.run(1, "/srv/api", 1)
		for range 100 {
			x.found()
			time.Sleep(2 * time.Second)
		}
		x.tells("1: too many open files")
		delete(x.errs, "/srv/api")
		for began := time.Now(); !slices.Contains(x.scan(), 1); time.Sleep(time.Second) {
			if time.Since(began) > lastRetry+time.Second {
				t.Fatal("it is never found again")
			}
		}
		x.tells()
	})
}

// TestHungFileSystem has executables on a file system that does not answer.
func TestHungFileSystem(t *testing.T) {
	withRegistry(t, everything, func(x *fixture) {
		const hung = 1000
		x.hangs["/mnt/api"], x.hangs["/mnt/other"] = make(chan struct{}), make(chan struct{})
		for pid := range hung {
			x.run(pid+100, "/mnt/api", 2)
		}
		x.run(99, "/mnt/other", 3)
		x.run(1, "/srv/api", 1)
		began := time.Now()
		x.found(1)
		if took := time.Since(began); took > 2*patience {
			t.Errorf("a scan takes %s", took)
		}
		if n, _ := x.looked("/mnt/api"); n != 1 {
			t.Errorf("%d threads wait for a file", n)
		}
		x.run(2, "/srv/new", 4)
		began = time.Now()
		x.found(1, 2)
		if took := time.Since(began); took > 0 {
			t.Errorf("a scan waits again, for %s", took)
		}
		if _, counts, err := x.Look(x.Context(), 99); counts || !errors.Is(err, ErrNoAnswer) {
			t.Errorf("the error is %v", err)
		}
		time.Sleep(silence)
		x.found(1, 2)
		if len(x.told) == 0 {
			t.Error("nothing is said of it")
		}
		x.told = nil
		x.found(1, 2)
		x.tells()
		close(x.hangs["/mnt/api"])
		close(x.hangs["/mnt/other"])
		for began := time.Now(); len(x.scan()) != hung+3; time.Sleep(time.Second) {
			if time.Since(began) > lastRetry+time.Second {
				t.Fatalf("%d processes are found then", len(x.scan()))
			}
		}
	})
}

// TestManyHungFileSystems has more executables that make threads wait than there may be.
func TestManyHungFileSystems(t *testing.T) {
	withRegistry(t, everything, func(x *fixture) {
		for pid := range 10 * maxInspections {
			path := fmt.Sprintf("/mnt/%d/api", pid)
			x.hangs[path] = make(chan struct{})
			x.run(pid, path, File(pid))
		}
		x.found()
		if _, n := x.looked(""); n > maxInspections {
			t.Errorf("%d threads wait", n)
		}
		for _, hangs := range x.hangs {
			close(hangs)
		}
		synctest.Wait()
		if got := x.scan(); len(got) != 10*maxInspections {
			t.Errorf("%d processes are found then", len(got))
		}
	})
}

func TestSummary(t *testing.T) {
	withRegistry(t, Selection{Targets: []Selector{{Executable: "/srv/*"}}}, func(x *fixture) {
		x.errs["/bin/sh"] = notGo()
		x.run(1, "/bin/sh", 1)
		x.run(2, "/usr/bin/dockerd", 2)
		x.run(3, "/usr/bin/dockerd", 2)
		slow := make(chan struct{})
		x.hangs["/usr/bin/dockerd"] = slow
		ctx, cancel := context.WithCancel(x.Context())
		if _, err := x.Scan(ctx); err != nil {
			x.Fatal(err)
		}
		cancel() // as that of a collection, when it has ended
		synctest.Wait()
		close(slow)
		synctest.Wait()
		x.scan()
		entries := x.log.TakeAll()
		if len(entries) != 1 {
			t.Fatalf("%d lines are logged", len(entries))
		}
		if got := fmt.Sprint(entries[0].ContextMap()); got != "map[go_executables:1 processes:3 such_as:[/usr/bin/dockerd]]" {
			t.Errorf("it says %s", got)
		}
	})
	withRegistry(t, Selection{Targets: []Selector{{Executable: "/srv/*"}}}, func(x *fixture) {
		x.errs["/srv/sh"] = notGo()
		x.run(1, "/srv/sh", 1)
		x.run(2, "/srv/api", 2)
		x.run(3, "/bin/ls", 3)
		x.scan()
		x.scan()
		entries := x.log.TakeAll()
		if len(entries) != 1 {
			t.Fatalf("%d lines are logged", len(entries))
		}
		if got := fmt.Sprint(entries[0].ContextMap()); got != "map[go_programs:1 matching:2 processes:3]" {
			t.Errorf("it says %s", got)
		}
	})
}

// TestMemory refuses more files than are remembered.
func TestMemory(t *testing.T) {
	withRegistry(t, everything, func(x *fixture) {
		for i := range 2 * maxRefused {
			p := x.run(1, fmt.Sprint("/srv/", i), File(i+1))
			x.found(1)
			x.RefuseFile(p, notGo())
		}
		if len(x.refused) > maxRefused || len(x.records) != 1 || len(x.turns) != 0 {
			t.Errorf("%d refusals, %d records and %d turns are kept", len(x.refused), len(x.records), len(x.turns))
		}
	})
}
