//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/otelgoroutine/goroutinereceiver/internal/bench/bpf"
	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

// benchCase is who follows the program.
type benchCase struct {
	name   string
	traces bool // the program's runtime writes its own trace
	// seesAll tells that all changes of state are seen for as long as the program runs.
	seesAll bool
	settle  time.Duration // for how long the program works before it is measured, if that is longer than usual
	attach  func(*bench) (*attached, error)
}

// attached is who follows the program, before it starts.
type attached struct {
	pid   int             // of who does; 0 is nobody, or this process
	said  *e2etest.Buffer // by the collector
	ready func() error
	lost  func() int64
	// changes returns how many changes of state of all programs that have ended were seen.
	changes func() int64
	detach  func()
}

func (a *attached) usage() usage {
	if a.pid == 0 {
		return usage{}
	}
	u := usageOf(a.pid)
	u.lost = a.lost()
	return u
}

func nobody() *attached {
	none := func() int64 { return 0 }
	return &attached{ready: func() error { return nil }, lost: none, changes: none, detach: func() {}}
}

// The names of cases that others are compared with.
const (
	nothing = "nothing"
	floor   = "empty uprobe"
)

var cases = []benchCase{
	{name: nothing, attach: func(*bench) (*attached, error) { return nobody(), nil }},
	{name: floor, attach: attachEmpty},
	{name: "empty at entry", attach: attachEmptyAtEntry},
	{name: "first version", attach: attachFirstVersion},
	{name: "bpftrace", attach: attachBpftrace},
	{name: "runtime/trace", traces: true, attach: func(*bench) (*attached, error) { return nobody(), nil }},
	{name: "metrics", seesAll: true, attach: collector(noTraces, noBudget)},
	{name: "traces 1 %", seesAll: true, attach: collector("traces: {sampling_ratio: 0.01, max_spans_per_second: 0}", noBudget)},
	{name: "traces 100 %", seesAll: true, attach: collector("traces: {sampling_ratio: 1, max_spans_per_second: 0}", noBudget)},
	{name: "trampoline metrics", seesAll: true, attach: collector(noTraces, noBudget, trampolines)},
	{name: "trampoline traces", seesAll: true, attach: collector("traces: {sampling_ratio: 1, max_spans_per_second: 0}", noBudget, trampolines)},
	{name: "default", settle: 5 * time.Second, attach: collector()},
	{name: "snapshot", attach: collector(snapshotMode)},
}

// Settings of the receiver. Without a budget, the probes stay whatever they cost.
const (
	noBudget     = "overhead: {budget: 0}"
	noTraces     = "traces: {sampling_ratio: 0}"
	snapshotMode = "mode: snapshot"
	trampolines  = "engine: trampoline"
)

func caseNames() (names []string) {
	for _, c := range cases {
		names = append(names, c.name)
	}
	return names
}

// attachEmpty puts a program that does nothing where the product puts its own.
func attachEmpty(b *bench) (*attached, error) {
	binary, err := goexe.Open(b.workload)
	if err != nil {
		return nil, err
	}
	defer binary.Close()
	var offsets []uint64
	for _, site := range binary.Sites {
		offsets = append(offsets, site.Offset)
	}
	return attach(b, offsets, func(o *bpf.UprobesObjects) *ebpf.Program { return o.Empty })
}

// attachEmptyAtEntry puts it at the first instruction of casgstatus, which the kernel may have to single-step.
func attachEmptyAtEntry(b *bench) (*attached, error) {
	return attach(b, nil, func(o *bpf.UprobesObjects) *ebpf.Program { return o.Empty })
}

// attachFirstVersion puts a probe at the first instruction of casgstatus, and reads a record of each change.
func attachFirstVersion(b *bench) (*attached, error) {
	return attach(b, nil, func(o *bpf.UprobesObjects) *ebpf.Program { return o.FirstVersion })
}

// casgstatus is the function that changes a goroutine's state.
const casgstatus = "runtime.casgstatus"

// attach puts a program at offsets of the workload's file, or without any at the entry of casgstatus.
func attach(b *bench, offsets []uint64, which func(*bpf.UprobesObjects) *ebpf.Program) (*attached, error) {
	var objects bpf.UprobesObjects
	if err := bpf.LoadUprobesObjects(&objects, nil); err != nil {
		return nil, err
	}
	a := nobody()
	var links []link.Link
	a.detach = func() {
		for _, l := range links {
			_ = l.Close()
		}
		_ = objects.Close()
	}
	file, err := link.OpenExecutable(b.workload)
	if err != nil {
		return nil, err
	}
	if len(offsets) == 0 {
		l, err := file.Uprobe(casgstatus, which(&objects), nil)
		if err != nil {
			return nil, err
		}
		links = append(links, l)
	}
	for _, offset := range offsets {
		l, err := file.Uprobe("", which(&objects), &link.UprobeOptions{Address: offset})
		if err != nil {
			return nil, err
		}
		links = append(links, l)
	}
	reader, err := ringbuf.NewReader(objects.Records)
	if err != nil {
		return nil, err
	}
	go func() {
		var r ringbuf.Record
		for reader.ReadInto(&r) == nil {
		}
	}()
	closeLinks := a.detach
	a.detach = func() {
		_ = reader.Close()
		closeLinks()
	}
	return a, nil
}

// attachBpftrace has bpftrace print what the first version tells.
func attachBpftrace(b *bench) (*attached, error) {
	const script = `uprobe:%s:runtime.casgstatus { printf("%%d %%d %%d %%d\n", reg("cx"), *(uint64*)(reg("ax")+0x98), pid, tid); } BEGIN { printf("ready\n"); }`
	out, err := os.CreateTemp(b.dir, "bpftrace")
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("bpftrace", "-B", "line", "-e", fmt.Sprintf(script, b.workload))
	cmd.Stdout = out
	return running(cmd, func() bool {
		data := make([]byte, 4096)
		n, _ := out.ReadAt(data, 0)
		return strings.Contains(string(data[:n]), "ready")
	})
}

// running starts a command that follows programs, and waits until it does.
func running(cmd *exec.Cmd, is func() bool) (*attached, error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	a := nobody()
	a.pid = cmd.Process.Pid
	a.detach = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}
	if err := eventually(is); err != nil {
		a.detach()
		return nil, fmt.Errorf("%s: %w", cmd, err)
	}
	return a, nil
}

// patience is how long something may take to begin.
const patience = 20 * time.Second

func eventually(is func() bool) error {
	for end := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return errors.New("waited in vain")
		}
	}
	return nil
}
