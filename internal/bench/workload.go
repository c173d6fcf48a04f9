//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// kinds are those of testdata/workload.
var kinds = []string{"pingpong", "spawn", "mutex", "files", "http"}

// result is what was measured in one round.
type result struct {
	began             time.Time
	ops, seconds, cpu float64 // cpu is the program's processor time, in seconds
	used              usage   // by who follows it
	bytes             int64   // that the collector exported
	// total is the number of operations from the program's start to its end, changes how many changes of state there were for one.
	total, changes float64
}

func (b *bench) build(release string) (err error) {
	if b.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return err
	}
	b.workload = filepath.Join(b.dir, "workload")
	cmd := exec.Command("go", "build", "-o", b.workload, ".")
	cmd.Dir = filepath.Join("testdata", "workload")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if release != "" {
		cmd.Env = append(cmd.Env, "GOTOOLCHAIN="+release)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the workload: %w\n%s", err, out)
	}
	return nil
}

// program is a workload that runs.
type program struct {
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Scanner
}

func (b *bench) start(kind string, c benchCase) (*program, error) {
	args := []string{kind, fmt.Sprint(b.seconds), fmt.Sprint(max(b.settle, c.settle).Seconds())}
	if c.traces {
		args = append(args, os.DevNull) // what is written to a disk would burden the case after it
	}
	p := &program{cmd: exec.Command(b.workload, args...)}
	p.cmd.Stderr = os.Stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewScanner(out)
	return p, p.cmd.Start()
}

func (p *program) line() (string, error) {
	if !p.out.Scan() {
		return "", errors.Join(errors.New("the program ended early"), p.out.Err())
	}
	return p.out.Text(), nil
}

func (p *program) stop() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// measure lets a program work and returns how much it did.
func (b *bench) measure(kind string, c benchCase, by *attached) (r result, err error) {
	p, err := b.start(kind, c)
	if err != nil {
		return r, err
	}
	stop := sync.OnceFunc(p.stop)
	defer stop()
	said, err := p.line()
	if err != nil {
		return r, err
	}
	if err := by.ready(); err != nil {
		return r, err
	}
	before := by.usage()
	if kind == "http" {
		r, err = b.load(p, said, max(b.settle, c.settle))
	} else {
		r, err = p.work()
	}
	r.used = by.usage().since(before)
	if stop(); b.counts && c.seesAll && err == nil {
		r.changes = float64(by.changes()) / r.total
	}
	return r, err
}

func (p *program) work() (r result, err error) {
	if _, err := io.WriteString(p.in, "\n"); err != nil {
		return r, err
	}
	said, err := p.line()
	if err != nil {
		return r, err
	}
	_, err = fmt.Sscan(said, &r.ops, &r.seconds, &r.cpu, &r.total)
	return r, err
}

var answered = regexp.MustCompile(`(\d+) requests in`)

// load has wrk ask the server: for a time to settle, and then for the time that is measured.
func (b *bench) load(p *program, address string, settle time.Duration) (r result, err error) {
	wrk := func(seconds float64) (requests float64, err error) {
		out, err := exec.Command("wrk", "-t1", "-c16", fmt.Sprintf("-d%ds", max(1, int(seconds))), "http://"+address+"/").CombinedOutput()
		if err != nil {
			return 0, fmt.Errorf("wrk: %w\n%s", err, out)
		}
		found := answered.FindSubmatch(out)
		if found == nil {
			return 0, fmt.Errorf("wrk said\n%s", bytes.TrimSpace(out))
		}
		return strconv.ParseFloat(string(found[1]), 64)
	}
	settled, err := wrk(settle.Seconds())
	if err != nil {
		return r, err
	}
	cpu, begin := processorTime(p.cmd.Process.Pid), time.Now()
	r.ops, err = wrk(b.seconds)
	r.seconds, r.cpu = time.Since(begin).Seconds(), (processorTime(p.cmd.Process.Pid) - cpu).Seconds()
	r.total = settled + r.ops
	return r, err
}
