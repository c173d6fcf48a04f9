package uprobe

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/otelgoroutine/goroutinereceiver/bpf"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// Attachment is the probes on one executable file, for all processes that run it.
type Attachment struct {
	engine     *Engine
	binary     *goexe.Binary
	executable uint32
	links      []link.Link
	// blind says that probes are left out without which nobody sees a goroutine leave a system call.
	blind bool
}

// Attach puts the probes on the executable file at path. Without syscalls, those that only see system calls are left out.
func (t *Engine) Attach(binary *goexe.Binary, path string, syscalls bool) (engine.Attachment, error) {
	file, err := link.OpenExecutable(path)
	if err != nil {
		return nil, err
	}
	a := &Attachment{engine: t, binary: binary, executable: atomic.AddUint32(&t.executables, 1)}
	if err := a.registerSystemStarts(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	for _, site := range binary.Sites {
		if site.Syscall && !syscalls {
			a.blind = true
			continue
		}
		l, err := a.attach(file, site)
		if err != nil {
			return nil, errors.Join(explain(fmt.Errorf("attach to %s: %w", site.Function, err)), a.Close())
		}
		a.links = append(a.links, l)
	}
	return a, nil
}

func (a *Attachment) attach(file *link.Executable, site goexe.Site) (link.Link, error) {
	if site.Kind == goexe.Call {
		return file.Uprobe("", a.engine.objects.OnCasgstatus, &link.UprobeOptions{Address: site.Offset, Cookie: uint64(a.executable)})
	}
	return file.Uprobe("", a.engine.objects.OnSwap, &link.UprobeOptions{Address: site.Offset, Cookie: cookie(site)})
}

// cookie tells the program at a swap where in the registers to look (on_swap in goroutine.bpf.c).
func cookie(s goexe.Site) uint64 {
	return uint64(s.G) | uint64(s.Old)<<8 | uint64(s.New)<<16 | uint64(s.Swapped)<<24 | uint64(s.SwappedMask)<<32 | uint64(s.Above)<<40 |
		uint64(s.Becomes)<<56
}

func (a *Attachment) starts() []bpf.TracerStart {
	keys := make([]bpf.TracerStart, len(a.binary.SystemStarts))
	for i, pc := range a.binary.SystemStarts {
		keys[i] = bpf.TracerStart{Pc: pc, Executable: a.executable}
	}
	return keys
}

func (a *Attachment) registerSystemStarts() error {
	keys := a.starts()
	if _, err := a.engine.objects.SystemStarts.BatchUpdate(keys, make([]uint8, len(keys)), nil); err != nil {
		return fmt.Errorf("register the runtime's own goroutines: %w", err)
	}
	return nil
}

// FollowNewcomers makes the kernel follow each process that runs the executable from its next change of state on, in most cases its first.
// An event of the kind ProcessFollowed tells of it, and Accept, Reject or Release says what becomes of it.
func (a *Attachment) FollowNewcomers(s engine.Settings) error {
	template := a.target(s)
	for _, site := range a.binary.Sites {
		if site.Kind == goexe.Call {
			template.Bias = site.Address
		}
	}
	if err := a.engine.objects.Templates.Put(a.executable, &template); err != nil {
		return fmt.Errorf("register the executable: %w", err)
	}
	return nil
}

// IgnoreNewcomers ends what FollowNewcomers began.
func (a *Attachment) IgnoreNewcomers() error {
	if err := a.engine.objects.Templates.Delete(a.executable); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("forget the executable: %w", err)
	}
	return nil
}

// stackDepths are the kernel's names of how much of a stack is read.
var stackDepths = map[engine.StackDepth]uint8{
	engine.NoStack:   uint8(bpf.TracerStackDepthSTACK_NONE),
	engine.LeafStack: uint8(bpf.TracerStackDepthSTACK_LEAF),
	engine.FullStack: uint8(bpf.TracerStackDepthSTACK_FULL),
}

// target returns what the kernel must know of a process that runs the executable, but for its own slot and bias.
func (a *Attachment) target(s engine.Settings) bpf.TracerTarget {
	t := layoutOf(a.binary)
	t.Executable = a.executable
	t.SampleBelow = uint64(math.Round(s.SamplingRatio * (1 << 32)))
	t.RootAge = uint64(s.RootAge)
	switch a.binary.Layout.G.SchedBP - a.binary.Layout.G.SchedPC {
	case bpBehindRet, bpBehindLR:
		t.Stacks = stackDepths[s.Stacks]
	}
	if a.engine.options.ByFunction {
		t.ByFunction = 1
	}
	if a.blind { // some functions of the runtime still tell that a system call begins
		shift := 4 * a.binary.Layout.Status["Gsyscall"]
		t.States = t.States&^(15<<shift) | uint64(lifecycle.Running)<<shift
	}
	if !a.engine.options.Labels.Used() {
		t.LabelForm = uint8(bpf.TracerLabelFormLABELS_NONE)
	}
	return t
}

// Close detaches the probes, all at once: for each the kernel waits until no processor is at it.
func (a *Attachment) Close() error {
	errs := append(make([]error, len(a.links)), a.IgnoreNewcomers())
	var closing sync.WaitGroup
	for i, l := range a.links {
		closing.Go(func() { errs[i] = l.Close() })
	}
	closing.Wait()
	a.links = nil
	for _, key := range a.starts() {
		if err := a.engine.objects.SystemStarts.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			errs = append(errs, err)
			break
		}
	}
	return errors.Join(errs...)
}
