//go:build linux

package uprobe

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/bpf"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
)

// Attachment is the probes on one executable file, for all processes that run it or for given ones. It implements engine.Attachment.
type Attachment struct {
	engine     *Engine
	binary     *goexe.Binary
	file       *link.Executable
	executable uint32
	sites      []goexe.Site
	// blind says that probes are left out without which nobody sees a goroutine leave a system call.
	blind bool

	mu    sync.Mutex // guards what follows
	links []link.Link
	// of are the processes with probes, and by which of their threads the kernel knows them; nil if these are all.
	of      map[int]int
	closing bool
	closed  bool
	others  uint64 // hits until then
}

// Attach puts the probes on the executable file at path, which must lead there until Close. Its errors wrap engine.ErrTooMany if there is no
// room for the probes now, and unix.ESRCH if none of the given processes exists.
func (t *Engine) Attach(binary *goexe.Binary, path string, o engine.AttachOptions) (engine.Attachment, error) {
	file, err := link.OpenExecutable(path)
	if err != nil {
		return nil, explain(err)
	}
	a := &Attachment{engine: t, binary: binary, file: file, sites: slices.Clone(binary.Sites)}
	if !o.Syscalls {
		a.sites = slices.DeleteFunc(a.sites, func(s goexe.Site) bool { return s.Syscall })
		a.blind = len(a.sites) < len(binary.Sites)
	}
	if a.executable, err = t.addExecutable(binary.SystemStarts); err != nil {
		return nil, err
	}
	if len(o.PIDs) == 0 {
		err = a.attachTo(everyProcess)
	} else {
		a.of = map[int]int{}
		err = a.attachToAny(o.PIDs)
	}
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	t.costs.haveChanged()
	return a, nil
}

// everyProcess stands for all that run the file.
const everyProcess = 0

// attachToAny puts the probes on those of some processes that exist.
func (a *Attachment) attachToAny(pids []int) error {
	for _, pid := range pids {
		if err := a.Include(pid); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	if a.of != nil && len(a.of) == 0 {
		return fmt.Errorf("processes %d: %w", pids, unix.ESRCH)
	}
	return nil
}

// Include puts the probes on one more process, unless they are on all that run the file. The kernel knows the process of a perf
// event by one of its threads, and takes the probes away at a hit after that has exited (uprobe_perf_func in kernel/trace/trace_uprobe.c): then
// they are put on the process by another.
func (a *Attachment) Include(pid int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closing {
		return os.ErrClosed
	}
	if a.of == nil {
		return nil
	}
	thread, err := processes.LiveThread(pid)
	if errors.Is(err, processes.ErrNoProcess) {
		return fmt.Errorf("%w: %w", unix.ESRCH, err)
	}
	if err != nil || a.of[pid] == thread || a.engine.atOnce && a.of[pid] != 0 {
		return err
	}
	if a.engine.atOnce && thread != pid { // such a link knows processes by their first threads only
		return a.includeAll()
	}
	if err := a.attachTo(thread); err != nil {
		return err
	}
	a.of[pid] = thread
	return nil
}

// includeAll puts the probes on all processes that run the file instead of on given ones.
func (a *Attachment) includeAll() error {
	given := a.links
	a.links = nil
	if err := a.attachTo(everyProcess); err != nil {
		a.links = given
		return err
	}
	a.of = nil
	var errs []error
	for _, l := range given {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// attachTo puts all probes on the process of a thread, or on all processes, or none.
func (a *Attachment) attachTo(thread int) error {
	before := len(a.links)
	err := a.attachSites(thread)
	if err != nil {
		err = errors.Join(err, closeAll(a.links[before:]))
		a.links = a.links[:before]
	}
	if err != nil && thread != everyProcess && errors.Is(unix.Kill(thread, 0), unix.ESRCH) {
		return fmt.Errorf("process %d: %w", thread, unix.ESRCH)
	}
	return explain(err)
}

func (a *Attachment) attachSites(thread int) error {
	if a.engine.atOnce {
		return a.attachAtOnce(thread)
	}
	for _, site := range a.sites {
		o := &link.UprobeOptions{Address: site.Offset, Cookie: a.cookie(site), PID: thread}
		l, err := a.file.Uprobe("", a.engine.objects.OnChange, o)
		if err != nil {
			return fmt.Errorf("attach to %s: %w", site.Function, err)
		}
		a.links = append(a.links, l)
	}
	return nil
}

func (a *Attachment) attachAtOnce(pid int) error {
	o := &link.UprobeMultiOptions{PID: uint32(pid)}
	for _, site := range a.sites {
		o.Addresses = append(o.Addresses, site.Offset)
		o.Cookies = append(o.Cookies, a.cookie(site))
	}
	l, err := a.file.UprobeMulti(nil, a.engine.objects.OnChange, o)
	if err != nil {
		return fmt.Errorf("attach: %w", err)
	}
	a.links = append(a.links, l)
	return nil
}

// cookie tells the program at a site whose it is and where in the registers to look.
func (a *Attachment) cookie(s goexe.Site) uint64 {
	status := uint64(bpf.TracerCookieBitSTATUS_IN_REGISTER)
	switch {
	case s.Kind == goexe.Call:
		status = uint64(bpf.TracerCookieBitSTATUS_OF_CALL)
	case uint64(s.Becomes) < uint64(bpf.TracerCookieBitSTATUS_OF_CALL):
		status = uint64(s.Becomes)
	}
	return uint64(s.G)<<bpf.TracerCookieBitCOOKIE_G | uint64(s.Old)<<bpf.TracerCookieBitCOOKIE_OLD |
		uint64(s.New)<<bpf.TracerCookieBitCOOKIE_NEW | uint64(s.Swapped)<<bpf.TracerCookieBitCOOKIE_SWAPPED |
		uint64(s.SwappedMask)<<bpf.TracerCookieBitCOOKIE_MASK | uint64(s.Above)<<bpf.TracerCookieBitCOOKIE_ABOVE |
		status<<bpf.TracerCookieBitCOOKIE_STATUS | uint64(a.executable)<<bpf.TracerCookieBitCOOKIE_EXECUTABLE
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

// target returns what the kernel must know of a process that runs the executable, but for its own slot and bias.
func (a *Attachment) target(s engine.Settings) bpf.TracerTarget {
	t := layoutOf(a.binary)
	t.Executable = a.executable
	t.SampleBelow = uint64(math.Round(s.SamplingRatio * (1 << 32)))
	t.RootAge = uint64(s.RootAge)
	if _, known := a.binary.Layout.G.SchedHasRet(); known {
		t.Stacks = flag(s.Stacks)
	}
	t.RunTimes = flag(a.engine.options.RunTimes)
	if a.engine.options.ByFunction {
		t.ByFunction = 1
	}
	if a.blind {
		t.Blind = 1
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
	a.mu.Lock()
	links, closed := a.links, a.closing
	a.links, a.closing = nil, true
	a.mu.Unlock()
	if closed {
		return nil
	}
	errs := errors.Join(a.IgnoreNewcomers(), closeAll(links))
	a.mu.Lock()
	defer a.mu.Unlock()
	others, err := a.engine.hitsOfOthers(a.executable)
	a.closed, a.others = true, others
	return errors.Join(errs, err, a.engine.removeExecutable(a.executable))
}

// closeAll detaches probes at once.
func closeAll(links []link.Link) error {
	errs := make([]error, len(links))
	var closing sync.WaitGroup
	for i, l := range links {
		closing.Go(func() { errs[i] = l.Close() })
	}
	closing.Wait()
	return errors.Join(errs...)
}
