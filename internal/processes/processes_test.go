//go:build linux

package processes

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"go.uber.org/zap"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// start runs a copy of sleep from a directory of its own until the test ends.
func start(t *testing.T, env ...string) (*exec.Cmd, string) {
	t.Helper()
	return startAs(t, "program) (x", env...)
}

// startAs names the copy.
func startAs(t *testing.T, name string, env ...string) (*exec.Cmd, string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(dir, name)
	b, err := os.ReadFile("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(exe, b, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "60")
	cmd.Env = env
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	// Start returns when the new program is about to be set up; it is when it sleeps.
	for end := time.Now().Add(10 * time.Second); !sleeps(cmd.Process.Pid); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the program does not sleep")
		}
	}
	return cmd, exe
}

func sleeps(pid int) bool {
	wchan, err := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", pid))
	return err == nil && strings.Contains(string(wchan), "nanosleep")
}

func TestRead(t *testing.T) {
	cmd, exe := start(t)
	p, err := Read(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	self, err := Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if p.Executable != exe || p.Name() != filepath.Base(exe) {
		t.Errorf("its executable is %q", p.Executable)
	}
	if p.StartTime < self.StartTime || p.Execution == 0 || p.Execution == self.Execution {
		t.Errorf("it is %+v, this process %+v", p, self)
	}
	// Another process may take the executable away.
	if err := os.Remove(exe); err != nil {
		t.Fatal(err)
	}
	again, err := Read(cmd.Process.Pid)
	if err != nil || again != p {
		t.Errorf("without its file it is %+v, %v", again, err)
	}
	pids, err := List()
	if err != nil || !slices.Contains(pids, cmd.Process.Pid) || !slices.Contains(pids, os.Getpid()) {
		t.Errorf("the processes are %v, %v", pids, err)
	}
}

func TestEnvironment(t *testing.T) {
	cmd, _ := start(t, "A=1", "SECRET=x", "AB=2", "B=a=b")
	got := Process{PID: cmd.Process.Pid}.Environment("A", "B", "C")
	if want := map[string]string{"A": "1", "B": "a=b"}; !maps.Equal(got, want) {
		t.Errorf("the environment is %v, want %v", got, want)
	}
}

// memoryMap is struct prctl_mm_map (linux/prctl.h): where a process says that what is of it.
type memoryMap struct {
	StartCode, EndCode, StartData, EndData, StartBrk, Brk, StartStack, ArgStart, ArgEnd, EnvStart, EnvEnd uint64
	auxv                                                                                                  uintptr
	auxvSize                                                                                              uint32
	exe                                                                                                   int32 // descriptor
}

// ownMap returns what the kernel shows of this process.
func ownMap(t *testing.T) memoryMap {
	t.Helper()
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')'):]))
	m := memoryMap{exe: -1}
	for number, value := range map[int]*uint64{ // as proc_pid_stat(5) counts
		26: &m.StartCode, 27: &m.EndCode, 28: &m.StartStack, 45: &m.StartData, 46: &m.EndData, 47: &m.StartBrk,
		48: &m.ArgStart, 49: &m.ArgEnd, 50: &m.EnvStart, 51: &m.EnvEnd,
	} {
		if _, err := fmt.Sscan(fields[number-2], value); err != nil {
			t.Fatal(err)
		}
	}
	brk, _, _ := unix.RawSyscall(unix.SYS_BRK, 0, 0, 0)
	m.Brk = uint64(brk)
	return m
}

func (m memoryMap) set(t *testing.T) {
	t.Helper()
	if err := unix.Prctl(unix.PR_SET_MM, unix.PR_SET_MM_MAP, uintptr(unsafe.Pointer(&m)), unsafe.Sizeof(m), 0); err != nil {
		t.Fatal(err)
	}
}

// TestForgedArguments reads the arguments and the environment of a process that has the kernel show far more memory as them than a program
// is started with. A process needs no privilege for that.
func TestForgedArguments(t *testing.T) {
	const claimed = 4 * maxStrings
	memory, err := unix.Mmap(-1, 0, claimed, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		t.Fatal(err)
	}
	own := ownMap(t)
	t.Cleanup(func() {
		own.set(t)
		_ = unix.Munmap(memory)
	})
	forged := own
	forged.ArgStart = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(memory))))
	forged.ArgEnd = forged.ArgStart + claimed
	forged.EnvStart, forged.EnvEnd = forged.ArgStart, forged.ArgEnd
	forged.set(t)
	p := Process{PID: os.Getpid()}
	for _, name := range []string{"cmdline", "environ"} {
		if n := len(p.strings(name)); n == 0 || n > maxStrings {
			t.Errorf("%d strings are read of %s, which claims to have %d", n, name, claimed)
		}
	}
}

func TestNoProcess(t *testing.T) {
	const pid = 1<<22 + 1 // above the kernel's PID_MAX_LIMIT
	if _, err := Read(pid); !errors.Is(err, ErrNoProcess) {
		t.Errorf("the error is %v", err)
	}
	if _, err := (Process{PID: pid}).Bias(0); !errors.Is(err, ErrNoProcess) {
		t.Errorf("the error is %v", err)
	}
}

func TestSelector(t *testing.T) {
	cmd, exe := start(t)
	p, err := Read(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	cgroup := p.Cgroups()[0].Path
	for _, c := range []struct {
		m    Selector
		want bool
	}{
		{Selector{PID: p.PID}, true},
		{Selector{PID: p.PID + 1}, false},
		{Selector{Executable: exe}, true},
		{Selector{Executable: filepath.Join(filepath.Dir(exe), "*")}, true},
		{Selector{Executable: filepath.Dir(exe) + "*"}, false},
		{Selector{Executable: filepath.Base(exe)}, false},
		{Selector{CommandLine: regexp.MustCompile(`x 6\d$`)}, true},
		{Selector{CommandLine: regexp.MustCompile(`x 7`)}, false},
		{Selector{Cgroup: cgroup}, true},
		{Selector{Cgroup: cgroup + "x"}, false},
		{Selector{ContainerID: "0123456789ab"}, false},
		{Selector{All: true}, true},
		{Selector{}, false},
	} {
		if got := c.m.Matches(p); got != c.want {
			t.Errorf("%+v: %v", c.m, got)
		}
	}
}

func TestSelection(t *testing.T) {
	cmd, exe := start(t)
	p, err := Read(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	self, err := Read(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	all, named := Selector{All: true}, Selector{Executable: exe}
	for _, c := range []struct {
		s                        Selection
		p                        Process
		want, names, there, open bool
	}{
		{Selection{Targets: []Selector{all}}, p, true, false, true, true},
		{Selection{Targets: []Selector{all}}, self, false, false, true, true},
		{Selection{Targets: []Selector{all}, Self: true}, self, true, false, true, true},
		{Selection{Targets: []Selector{named}}, p, true, true, true, true},
		{Selection{Targets: []Selector{all}, Exclude: []Selector{named}}, p, false, false, true, true},
		{Selection{Targets: []Selector{all}, Exclude: []Selector{named}, Self: true}, self, true, false, true, true},
		{Selection{Targets: []Selector{{PID: 1 << 23}}}, p, false, false, false, false},
		{Selection{}, p, false, false, true, false},
	} {
		if got := c.s.Selects(c.p); got != c.want {
			t.Errorf("%+v selects %d: %v", c.s, c.p.PID, got)
		}
		if got := c.s.Names(c.p); got != c.names {
			t.Errorf("%+v names %d: %v", c.s, c.p.PID, got)
		}
		if got := c.s.Open(); got != c.open {
			t.Errorf("%+v is open: %v", c.s, got)
		}
		if missing := c.s.missing(map[int]Process{p.PID: p}); len(missing) == 0 != c.there {
			t.Errorf("%+v: missing are %v", c.s, missing)
		}
	}
}

func TestContainerIn(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	const other = "f123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for path, want := range map[string]string{
		"/":                                     "",
		"/system.slice/docker-" + id + ".scope": id,
		"/docker/" + id:                         id,
		"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1.slice/cri-containerd-" + id + ".scope": id,
		"/kubepods/burstable/pod0/" + id:                         id,
		"/kubepods/pod0/" + id + "/docker/" + other + "/init":    other,
		"/machine.slice/libpod-" + id + ".scope/container":       id,
		"/ecs/task/0123456789abcdef0123456789abcdef-0123456789":  "0123456789abcdef0123456789abcdef-0123456789",
		"/system.slice/containerd.service/kubepods:cri:" + id:    id,
		"/user.slice/" + id + "0":                                "",
		"/user.slice/0123456789abcdef0123456789abcdef0123456789": "",
	} {
		if got := containerIn(path); got != want {
			t.Errorf("the container of %s is %q, want %q", path, got, want)
		}
	}
}

// TestContainerID puts a process into a control group such as container runtimes make.
func TestContainerID(t *testing.T) {
	testbuild.RequireRoot(t)
	const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	cmd, _ := start(t)
	p := Process{PID: cmd.Process.Pid}
	if got := p.ContainerID(); got == id {
		t.Error("it is in the container before it is put there")
	}
	join(t, "docker-"+id+".scope", p.PID)
	if got := p.ContainerID(); got != id {
		t.Errorf("its container is %q", got)
	}
	for m, want := range map[*Selector]bool{
		{ContainerID: id}: true, {ContainerID: id[:12]}: true, {ContainerID: id[1:13]}: false, {Cgroup: "/docker-*.scope"}: true,
	} {
		if got := m.Matches(p); got != want {
			t.Errorf("%+v: %v", *m, got)
		}
	}
}

// join puts a process, which ends before the test does, into a new control group.
func join(t *testing.T, name string, pid int) {
	t.Helper()
	parent := "/sys/fs/cgroup"
	if _, err := os.Stat(filepath.Join(parent, "cgroup.controllers")); err != nil {
		parent = "/sys/fs/cgroup/pids" // not of the second version
	}
	group := filepath.Join(parent, name)
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(filepath.Join(parent, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644); err != nil && !errors.Is(err, unix.ESRCH) {
			t.Error(err)
		}
		if err := os.Remove(group); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkScan looks at the processes of this machine when nothing has changed for long, as each scan does.
func BenchmarkScan(b *testing.B) {
	r := New(Options{Selection: Selection{Targets: []Selector{{PID: 1 << 23}}}, Logger: zap.NewNop(), OnProblem: func(Process, error) {}})
	defer r.Close()
	seen, err := r.Scan(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for _, known := range r.records {
		known.retry.next = time.Now().Add(time.Hour)
	}
	for b.Loop() {
		if _, err := r.Scan(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(len(seen.Live)), "ns/process")
}
