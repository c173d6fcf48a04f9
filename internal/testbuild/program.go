package testbuild

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// Running is a target that runs and talks by lines.
type Running struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

// Start runs an executable until the test ends.
func Start(t testing.TB, exe string, args ...string) *Running {
	t.Helper()
	p := &Running{t: t, cmd: exec.Command(exe, args...)}
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewScanner(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.in.Close()
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		_ = p.cmd.Wait()
	})
	return p
}

// PID is its process id.
func (p *Running) PID() int { return p.cmd.Process.Pid }

// Line returns the next line that the program writes.
func (p *Running) Line() string {
	p.t.Helper()
	if !p.out.Scan() {
		p.t.Fatalf("the program ended early: %v", p.out.Err())
	}
	return p.out.Text()
}

// GoOn sends the program an empty line.
func (p *Running) GoOn() {
	p.t.Helper()
	if _, err := io.WriteString(p.in, "\n"); err != nil {
		p.t.Fatal(err)
	}
}

// Signal sends the program a signal.
func (p *Running) Signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// Stop ends the program as a service manager does.
func (p *Running) Stop() {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
}

// Wait waits until the program has ended and fails the test if it did not end well.
func (p *Running) Wait() {
	p.t.Helper()
	if err := p.cmd.Wait(); err != nil {
		p.t.Fatal(err)
	}
}
