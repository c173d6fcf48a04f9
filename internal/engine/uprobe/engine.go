//go:build linux

// Package uprobe is the engine that follows goroutines with BPF programs on uprobes: it loads them, attaches them to executables, tells the
// kernel which processes count, and turns what they tell into the types of package lifecycle.
package uprobe

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/cilium/ebpf/rlimit"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/bpf"
	"github.com/otelgoroutine/goroutinereceiver/internal/buckets"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
)

const (
	maxProcesses  = 2048
	maxBuckets    = 512 << 10 // of distributions of waits, and of all of processes beyond the first; a process has some hundreds
	maxFunctions  = 8 << 10
	maxLabelled   = 16 << 10 // goroutines; labels of more are told again and again
	wakeupShare   = 16       // the reader is woken when a 16th of the ring buffer is full
	busyShare     = 2        // no new tree is sampled while more of it is full
	reservedShare = 4        // a quarter is kept for creations and exits
)

// Engine is a set of loaded programs and their maps. It implements engine.Engine.
type Engine struct {
	objects bpf.TracerObjects
	links   []link.Link
	reader  *ringbuf.Reader
	record  ringbuf.Record
	options engine.Options
	costs   costs
	closing sync.Once
	closed  chan struct{}
	running sync.WaitGroup

	atOnce      bool   // probes of an executable come and go at once
	cpus        int    // that the machine may have
	slots       *slots // of processes
	executables *slots
	// late are the hits of each executable's processes that were counted after their counts were read last.
	late    [maxExecutables + 1]atomic.Uint64
	retired chan struct{} // has room for one: a slot was retired
	crowded sync.Once     // it was said that there are too many distributions
}

// New loads the programs. Its errors wrap engine.ErrPermission or engine.ErrKernel if that is what is wrong.
func New(o engine.Options) (*Engine, error) {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if err := checkCapabilities(); err != nil {
		return nil, err
	}
	if err := checkKernel(); err != nil {
		return nil, err
	}
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("%w: raise the limit of locked memory: %w", engine.ErrPermission, err)
	}
	spec, err := bpf.LoadTracer()
	if err != nil {
		return nil, err
	}
	kernel, err := features.LinuxVersionCode()
	if err != nil {
		return nil, err
	}
	if kernel >= probesAtOnce {
		spec.Programs[bpf.TracerProgOnChange].AttachType = ebpf.AttachTraceUprobeMulti
	}
	if err := configure(spec, o, kernel); err != nil {
		return nil, err
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, err
	}
	t := &Engine{
		cpus: cpus, atOnce: kernel >= probesAtOnce, slots: newSlots("processes", maxProcesses), executables: newSlots("executables", maxExecutables+1),
		options: o, costs: costs{changed: make(chan struct{}, 1)}, retired: make(chan struct{}, 1), closed: make(chan struct{}),
	}
	if err := spec.LoadAndAssign(&t.objects, nil); err != nil {
		return nil, explain(fmt.Errorf("load the BPF programs: %w", err))
	}
	if err := t.open(); err != nil {
		_ = t.Close()
		return nil, explain(err)
	}
	t.running.Go(t.keepReclaiming)
	if o.MeasureCosts {
		t.running.Go(t.measureCosts)
	}
	return t, nil
}

// Memory returns how many bytes of the kernel's memory the maps take.
func (t *Engine) Memory() (sum uint64) {
	maps := reflect.ValueOf(t.objects.TracerMaps)
	for i := range maps.NumField() {
		info, err := maps.Field(i).Interface().(*ebpf.Map).Info()
		if err != nil {
			continue // of an old kernel
		}
		locked, _ := info.Memlock()
		sum += locked
	}
	return sum
}

// explain adds the class of the problem to an error of the kernel's.
func explain(err error) error {
	var verifier *ebpf.VerifierError
	switch {
	case errors.As(err, &verifier), errors.Is(err, ebpf.ErrNotSupported):
		return fmt.Errorf("%w: %w", engine.ErrKernel, err)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w: %w", engine.ErrPermission, err)
	case slices.ContainsFunc(exhausted, func(e error) bool { return errors.Is(err, e) }):
		return fmt.Errorf("%w: %w", engine.ErrTooMany, err)
	}
	return err
}

// exhausted are errors about what there may be more of later: descriptors of this process and of the machine, memory, entries of a map.
var exhausted = []error{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ENOSPC, unix.E2BIG, unix.EAGAIN}

// probesAtOnce is the first Linux on which links of many probes have come and gone for long at busy sites of real machines without harm: older
// ones with such links killed processes in emulators. It removes all probes of one link with one wait for those that are at them, each process's right ones
// (bpf_uprobe_unregister in kernel/trace/bpf_trace.c). A link for each probe takes some 100 ms for it to come, and as long to go, one after the
// other on the whole machine, also when this process is killed.
const probesAtOnce = 6<<16 | 18<<8

// Linux 6.1 is the first of which programs at probes can safely take memory while they run. Before, it is taken when the map is made, and the
// kernel warns in its log of maps that do otherwise.
const (
	memoryWhileRunning = 6<<16 | 1<<8
	fewerBuckets       = 32 << 10
)

func configure(spec *ebpf.CollectionSpec, o engine.Options, kernel uint32) error {
	for name, size := range map[string]int{
		bpf.TracerMapSlots:        maxProcesses,
		bpf.TracerMapLimits:       maxProcesses,
		bpf.TracerMapTracked:      maxProcesses,
		bpf.TracerMapTargets:      4 * maxProcesses, // also those that are not to be followed
		bpf.TracerMapTemplates:    maxExecutables,
		bpf.TracerMapFreeSlots:    stockedSlots,
		bpf.TracerMapGoroutines:   o.MaxGoroutines,
		bpf.TracerMapSystemStarts: maxExecutables + 1,
		bpf.TracerMapHitsOfOthers: maxExecutables + 1,
		bpf.TracerMapCounts:       maxProcesses,
		bpf.TracerMapHistograms:   maxBuckets,
		bpf.TracerMapFunctions:    maxFunctions,
		bpf.TracerMapRunTimes:     maxFunctions,
		bpf.TracerMapLabelsTold:   maxLabelled,
		bpf.TracerMapEvents:       o.BufferSize,
	} {
		spec.Maps[name].MaxEntries = uint32(size)
	}
	if histograms := spec.Maps[bpf.TracerMapHistograms]; kernel < memoryWhileRunning {
		histograms.Flags &^= unix.BPF_F_NO_PREALLOC
		histograms.MaxEntries = fewerBuckets
	}
	for name, value := range map[string]any{
		bpf.TracerVarBucketBounds:     buckets.Bounds(),
		bpf.TracerVarBucketGuess:      buckets.Guesses(),
		bpf.TracerVarWakeupBytes:      uint64(o.BufferSize / wakeupShare),
		bpf.TracerVarTargetGoroutines: uint64(o.MaxGoroutinesPerProcess),
		bpf.TracerVarBusyBytes:        uint64(o.BufferSize / busyShare),
		bpf.TracerVarCrowdedBytes:     uint64(o.BufferSize - o.BufferSize/reservedShare),
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

func (t *Engine) open() error {
	var err error
	if t.reader, err = ringbuf.NewReader(t.objects.Events); err != nil {
		return fmt.Errorf("open the ring buffer: %w", err)
	}
	if _, err := t.executables.take(); err != nil { // none
		return err
	}
	if err := t.refillFreeSlots(); err != nil {
		return err
	}
	for name, program := range map[string]*ebpf.Program{
		"sched_process_exec": t.objects.OnExec,
		"sched_process_exit": t.objects.OnExit,
	} {
		l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: name, Program: program})
		if err != nil {
			return fmt.Errorf("attach to tracepoint %s: %w", name, err)
		}
		t.links = append(t.links, l)
	}
	return nil
}

// Close detaches what New attached and frees programs and maps. Attachments are closed before.
func (t *Engine) Close() (err error) {
	t.closing.Do(func() { err = t.close() })
	return err
}

func (t *Engine) close() error {
	close(t.closed)
	t.running.Wait()
	var errs []error
	for _, l := range t.links {
		errs = append(errs, l.Close())
	}
	if t.reader != nil {
		errs = append(errs, t.reader.Close())
	}
	return errors.Join(append(errs, t.objects.Close())...)
}
