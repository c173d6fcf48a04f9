//go:build linux

package processes

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestOddPaths looks for executables whose names hold what separates fields and lines, and what the kernel escapes.
func TestOddPaths(t *testing.T) {
	for _, name := range []string{
		"two  spaces", " leading", "trailing ", "tab\there", "new\nline", "\n", `backslash\n`, `octal\040`, "caf\xe9", "deleted (deleted) x",
	} {
		t.Run(name, func(t *testing.T) {
			cmd, exe := startAs(t, name)
			for range 2 {
				p, err := Read(cmd.Process.Pid)
				if err != nil {
					t.Fatal(err)
				}
				if p.Executable != exe {
					t.Errorf("its executable is %q, want %q", p.Executable, exe)
				}
				bias, err := p.Bias(0)
				if err != nil {
					t.Fatal(err)
				}
				if got := memory(t, p.PID, bias, len(elf.ELFMAG)); string(got) != elf.ELFMAG {
					t.Errorf("at %#x is %q, not the beginning of an executable", bias, got)
				}
				_ = os.Remove(exe) // it goes on without its file
			}
		})
	}
}

func memory(t *testing.T, pid int, address uint64, length int) []byte {
	t.Helper()
	f, err := os.Open(Process{PID: pid}.path("mem"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, length)
	if _, err := f.ReadAt(b, int64(address)); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestFirstThreadExited looks at a process that goes on without its first thread.
func TestFirstThreadExited(t *testing.T) {
	exe := testbuild.Program(t, "survivor", testbuild.Options{})
	t.Setenv("OTEL_SERVICE_NAME", "survivor")
	running := testbuild.Start(t, exe, "argument")
	running.Line()
	running.GoOn()
	running.Line() // it has survived
	pid := running.PID()
	if got, err := os.ReadFile(Process{PID: pid}.path("cmdline")); err != nil || !bytes.Contains(got, []byte("argument")) {
		t.Errorf("its command line is %q, %v", got, err)
	}
	p, err := Read(pid)
	if err != nil {
		t.Fatal(err)
	}
	if p.Executable != exe || p.Execution == 0 {
		t.Errorf("it is %+v", p)
	}
	if got := p.Arguments(); !slices.Equal(got, []string{exe, "argument"}) {
		t.Errorf("its arguments are %q", got)
	}
	if got := p.Environment("OTEL_SERVICE_NAME")["OTEL_SERVICE_NAME"]; got != "survivor" {
		t.Errorf("its environment has %q", got)
	}
	if bias, err := p.Bias(0); err != nil || bias == 0 {
		t.Errorf("it lies at %#x, %v", bias, err)
	}
	if thread, err := Thread(pid); err != nil || thread == pid {
		t.Errorf("it is read by thread %d, %v", thread, err)
	}
	if !SurvivesFirstThread(pid) {
		t.Error("it does not survive its first thread")
	}
	if used, err := CPUTime(pid); err != nil || used == 0 {
		t.Errorf("it has used %s, %v", used, err)
	}
}

// TestZombie looks at a process of which nothing lives.
func TestZombie(t *testing.T) {
	cmd, _ := start(t)
	_ = cmd.Process.Kill()
	for { // until the kernel has taken its memory
		if _, err := os.Readlink(Process{PID: cmd.Process.Pid}.path("exe")); err != nil {
			break
		}
	}
	if p, err := Read(cmd.Process.Pid); err == nil {
		t.Errorf("a zombie is %+v", p)
	}
	if _, err := Thread(cmd.Process.Pid); err == nil {
		t.Error("a zombie has a thread with memory")
	}
	if SurvivesFirstThread(cmd.Process.Pid) {
		t.Error("a zombie survives")
	}
}

// TestEndOfAllThreads looks at programs of many threads in the moment at which the first one exits.
func TestEndOfAllThreads(t *testing.T) {
	exe := testbuild.Program(t, "parked", testbuild.Options{})
	for range 20 {
		cmd := exec.Command(exe, "1")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
		_ = cmd.Process.Kill()
		for first := fmt.Sprintf("/proc/%d/exe", cmd.Process.Pid); ; {
			if _, err := os.Readlink(first); err != nil {
				break
			}
		}
		if SurvivesFirstThread(cmd.Process.Pid) {
			t.Error("it survives although it was killed")
		}
		_ = cmd.Wait()
	}
}

func TestParseStat(t *testing.T) {
	numbers := strings.Repeat(" 7", 49)
	for content, want := range map[string]stat{
		"1 (a) b) Z" + numbers:               {state: 'Z', flags: 7, user: 7, system: 7, threads: 7, startTime: 7, arguments: 7},
		"1 (\n) S" + numbers:                 {state: 'S', flags: 7, user: 7, system: 7, threads: 7, startTime: 7, arguments: 7},
		"":                                   {},
		"1 (a":                               {},
		"1 (a) S 1 2":                        {},
		"1 (a) S" + strings.Repeat(" x", 49): {},
	} {
		got, err := parseStat([]byte(content))
		if (err == nil) != (want != stat{}) || err == nil && got != want {
			t.Errorf("%q is %+v, %v", content, got, err)
		}
	}
}

func TestMappings(t *testing.T) {
	const maps = `00400000-00401000 r--p 00001000 fd:00 9                                  /srv/api
55e0c0000000-55e0c0001000 r--p 00000000 fd:00 9                          /srv/my  api
55e0c0100000-55e0c0101000 r--p 00000000 fd:00 9                          /srv/a\012b
7f0000000000-7f0000001000 r--p 00000000 fd:00 9                          /srv/old (deleted)
7fff00000000-7fff00001000 rw-p 00000000 00:00 0                          [stack]
7fff10000000-7fff10001000 rw-p 00000000 00:00 0 
`
	for file, want := range map[string]uint64{
		"/srv/my  api": 0x55e0c0000000, "/srv/a\nb": 0x55e0c0100000, "/srv/old": 0x7f0000000000,
		"/srv/api": 0x400000, "/srv/my api": 0, "/srv/ol": 0,
	} {
		all, err := mappingsOf(strings.NewReader(maps), file)
		var got uint64
		for _, m := range all {
			got = m.start
		}
		if got != want || err != nil {
			t.Errorf("%q is at %#x, %v; want %#x", file, got, err, want)
		}
	}
}
