package uprobe

import (
	"errors"
	"fmt"
	"math"
	"sync"

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

	mu     sync.Mutex // guards what follows
	closed bool
	others uint64 // hits until then
}

// Attach puts the probes on the executable file at path. Without syscalls, those that only see system calls are left out.
func (t *Engine) Attach(binary *goexe.Binary, path string, syscalls bool) (engine.Attachment, error) {
	file, err := link.OpenExecutable(path)
	if err != nil {
		return nil, err
	}
	executable, err := t.addExecutable(binary.SystemStarts)
	if err != nil {
		return nil, err
	}
	a := &Attachment{engine: t, binary: binary, executable: executable}
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
	return file.Uprobe("", a.engine.objects.OnSwap, &link.UprobeOptions{Address: site.Offset, Cookie: cookie(site, a.executable)})
}

// cookie tells the program at a swap whose it is and where in the registers to look.
func cookie(s goexe.Site, executable uint32) uint64 {
	status := uint64(bpf.TracerCookieBitSTATUS_IN_REGISTER)
	if s.Becomes < uint8(status) {
		status = uint64(s.Becomes)
	}
	return uint64(s.G)<<bpf.TracerCookieBitCOOKIE_G | uint64(s.Old)<<bpf.TracerCookieBitCOOKIE_OLD |
		uint64(s.New)<<bpf.TracerCookieBitCOOKIE_NEW | uint64(s.Swapped)<<bpf.TracerCookieBitCOOKIE_SWAPPED |
		uint64(s.SwappedMask)<<bpf.TracerCookieBitCOOKIE_MASK | uint64(s.Above)<<bpf.TracerCookieBitCOOKIE_ABOVE |
		status<<bpf.TracerCookieBitCOOKIE_STATUS | uint64(executable)<<bpf.TracerCookieBitCOOKIE_EXECUTABLE
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

// HitsOfOthers returns how often the probes were hit by processes that were not followed then.
func (a *Attachment) HitsOfOthers() (uint64, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return a.others, nil
	}
	return a.engine.hitsOfOthers(a.executable)
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
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return errors.Join(errs...)
	}
	others, err := a.engine.hitsOfOthers(a.executable)
	a.closed, a.others = true, others
	return errors.Join(append(errs, err, a.engine.removeExecutable(a.executable))...)
}
