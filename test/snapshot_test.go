//go:build linux

package test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf/link"
	"go.opentelemetry.io/collector/pdata/plog"
	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/otlptest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// countingReceiver shows goroutines by wait reason, and those that are blocked for a second.
const countingReceiver = `
receivers:
  goroutine:
    mode: %s
    collection_interval: 500ms
    initial_delay: 0s
    targets: [{executable: %s}]
    overhead: {budget: 0}
    blocked: {threshold: 1s, top: 12}
    metrics: {go.goroutine.count: {attributes: [go.goroutine.state, go.goroutine.wait.reason]}}
`

// TestCountsByReason compares go.goroutine.count and go.goroutine.blocked with the profile that the program wrote of itself, in both modes.
func TestCountsByReason(t *testing.T) {
	for _, mode := range []string{"probes", "snapshot"} {
		t.Run(mode, func(t *testing.T) {
			exe := testbuild.Program(t, "parked", testbuild.Options{Flags: []string{"-ldflags=-s -w"}})
			b := newBackend(t)
			c := startCollector(t, fmt.Sprintf(countingReceiver, mode, exe)+fmt.Sprintf(countsTo, b.Endpoint()))
			p := testbuild.Start(t, exe, "1000")
			want, blocked := map[string]int{}, map[string]int{}
			for id, g := range p.Profile() {
				if id == 1 {
					continue // it has gone on
				}
				want[g.State]++
				if g.Creator == "main.main" {
					blocked[g.State]++
				}
			}
			if len(want) < 8 {
				t.Fatalf("the profile has only %v", want)
			}
			eventually(t, fmt.Sprintf("the counts to be %v", want), func() bool {
				got := byAttribute(b, "go.goroutine.count", "go.goroutine.wait.reason")
				delete(got, "") // the main goroutine, in a system call
				return maps.Equal(got, want)
			}, func() string { return fmt.Sprint(byAttribute(b, "go.goroutine.count", "go.goroutine.wait.reason")) })
			eventually(t, fmt.Sprintf("as blocked %v", blocked), func() bool {
				return maps.Equal(byAttribute(b, "go.goroutine.blocked", "go.goroutine.wait.reason"), blocked)
			}, func() string { return fmt.Sprint(byAttribute(b, "go.goroutine.blocked", "go.goroutine.wait.reason")) })
			sites := byAttribute(b, "go.goroutine.blocked", "go.goroutine.creator.line")
			if len(sites) != 10 || len(byAttribute(b, "go.goroutine.blocked", "go.goroutine.creator.function")) != 1 {
				t.Errorf("they are created at %v", sites)
			}
			eventually(t, "a record of each site that is blocked", func() bool { return len(records(b, "go.goroutine.blocked")) == len(blocked) },
				func() string { return fmt.Sprintf("%d are\n%s", len(records(b, "go.goroutine.blocked")), c.out) })
			if severity := records(b, "go.goroutine.blocked")[0].SeverityText(); severity != "WARN" {
				t.Errorf("such a record has the severity %s", severity)
			}
			p.GoOn()
			eventually(t, "a record of each site that cleared", func() bool { return len(records(b, "go.goroutine.unblocked")) == 2 },
				func() string { return c.out.String() })
		})
	}
}

// byAttribute returns the newest values of a metric, summed up by the values of one attribute.
func byAttribute(b *otlptest.Backend, metric, attribute string) map[string]int {
	sums := map[string]int{}
	for _, m := range b.Metric(metric) {
		for _, p := range m.Sum().DataPoints().All() {
			v, _ := p.Attributes().Get(attribute)
			sums[v.AsString()] += int(p.IntValue())
		}
	}
	return sums
}

func records(b *otlptest.Backend, event string) (found []plog.LogRecord) {
	for _, r := range b.LogRecords() {
		if r.EventName() == event {
			found = append(found, r)
		}
	}
	return found
}

// TestSnapshotModeAttachesNothing runs the collector in that mode with the one capability that it needs, and compares what the kernel has
// attached before and meanwhile.
func TestSnapshotModeAttachesNothing(t *testing.T) {
	testbuild.RequireRoot(t)
	exe := testbuild.Program(t, "parked", testbuild.Options{})
	b := newBackend(t)
	p := testbuild.Start(t, exe, "10")
	p.Profile()
	before := linksOf(t)
	cmd := asNobody(t, fmt.Sprintf(countingReceiver, "snapshot", exe)+fmt.Sprintf(countsTo, b.Endpoint()), unix.CAP_SYS_PTRACE)
	c := runCollector(t, cmd)
	eventually(t, "goroutines to be counted", func() bool { return b.Sum("go.goroutine.count") > 100 }, c.out.String)
	if now := linksOf(t); !maps.Equal(now, before) {
		t.Errorf("the kernel has links %v, before %v", now, before)
	}
	for _, what := range openFiles(t, cmd.Process.Pid) {
		if strings.Contains(what, "bpf") || strings.Contains(what, "perf_event") {
			t.Errorf("the collector has %s open", what)
		}
	}
	if len(b.Spans()) > 0 || b.Metric("go.goroutine.time") != nil {
		t.Error("snapshots cannot tell of spans and times, but some came")
	}
}

// linksOf returns the ids of all links in the kernel.
func linksOf(t *testing.T) map[link.ID]bool {
	t.Helper()
	ids := map[link.ID]bool{}
	it := new(link.Iterator)
	defer it.Close()
	for it.Next() {
		ids[it.ID] = true
	}
	if err := it.Err(); err != nil {
		t.Fatal(err)
	}
	return ids
}

// openFiles returns what the file descriptors of a process are.
func openFiles(t *testing.T, pid int) (files []string) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		file, err := os.Readlink(filepath.Join(dir, e.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// asNobody returns a command that runs the collector as an ordinary user with some capabilities.
func asNobody(t *testing.T, config string, capabilities ...uintptr) *exec.Cmd {
	t.Helper()
	dir, err := os.MkdirTemp("", "capabilities") // t.TempDir's parent is not for others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// The repository may lie where others may not look.
	collectorCopy := filepath.Join(dir, "collector")
	if err := exec.Command("cp", filepath.Join(testbuild.Root(), "bin", "otelcol-goroutine"), collectorCopy).Run(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(collectorCopy, "--config", file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, AmbientCaps: capabilities}
	return cmd
}
