package target

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// start runs a copy of sleep from a directory of its own until the test ends.
func start(t *testing.T, env ...string) (*exec.Cmd, string) {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(dir, "program) (x")
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
	if p.StartTime < self.StartTime || p.File == self.File || p.File == (File{}) {
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

func TestNoProcess(t *testing.T) {
	const pid = 1<<22 + 1 // above the kernel's PID_MAX_LIMIT
	if _, err := Read(pid); !errors.Is(err, ErrNoProcess) {
		t.Errorf("the error is %v", err)
	}
	if _, err := (Process{PID: pid}).Bias(0); !errors.Is(err, ErrNoProcess) {
		t.Errorf("the error is %v", err)
	}
}

func TestMatcher(t *testing.T) {
	p := Process{PID: 42, Executable: "/srv/shop/bin/api"}
	for _, c := range []struct {
		m    Matcher
		want bool
	}{
		{Matcher{PID: 42}, true},
		{Matcher{PID: 43}, false},
		{Matcher{Executable: "/srv/shop/bin/api"}, true},
		{Matcher{Executable: "/srv/*/bin/api"}, true},
		{Matcher{Executable: "/srv/*/api"}, false},
		{Matcher{Executable: "api"}, false},
	} {
		if got := c.m.Matches(p); got != c.want {
			t.Errorf("%+v: %v", c.m, got)
		}
	}
	if err := (Matcher{Executable: "/srv/["}).Validate(); err == nil {
		t.Error("a pattern that is none was taken")
	}
}
