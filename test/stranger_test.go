//go:build linux && packaging

package test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// patience is for how long the commands of a page may take, most of which compile: the first time they do that for minutes.
const patience = 20 * time.Minute

// TestStranger runs every command of docs/first-steps.md and of README.md in a folder that is empty at first, as a person does who has found
// the repository, and asks the Jaeger and the Prometheus that they start.
func TestStranger(t *testing.T) {
	testbuild.RequireRoot(t)
	dir := t.TempDir()
	follow(t, dir, pageOf(t, "docs/first-steps.md"))
	e2etest.Eventually(t, "Jaeger to have requests of the shop", func() bool {
		return len(jaeger{query: "localhost:16686"}.traces(t, "shop", worker)) > 0
	}, outOf(dir))
	for _, promQL := range []string{"go_goroutine_count", "histogram_quantile(0.99,sum+by(job)(rate(go_schedule_duration_seconds[5m])))"} {
		e2etest.Eventually(t, "Prometheus to answer "+promQL, func() bool {
			var answer struct{ Data struct{ Result []any } }
			get(t, "http://localhost:9090/api/v1/query?query="+promQL, &answer)
			return len(answer.Data.Result) > 0
		}, outOf(dir))
	}
	clone := filepath.Join(dir, "goroutinereceiver")
	follow(t, clone, quick(pageOf(t, "README.md")))
	for _, want := range []string{"main.forgotten ", "\ntrampolines "} {
		if out := outOf(clone)(); !strings.Contains(out, want) {
			t.Errorf("the demo does not say %q:\n%s", want, out)
		}
	}
}

// quick has a page run the tests that take a minute for all of them.
func quick(blocks []block) []block {
	for i := range blocks {
		blocks[i].text = strings.ReplaceAll(blocks[i].text, "make test #", "make test-unit #")
	}
	return blocks
}

// block is a part of a page that is set off, with its language.
type block struct{ language, text string }

// pageOf returns the commands and files of a page.
func pageOf(t *testing.T, page string) (blocks []block) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testbuild.Root(), page))
	require.NoError(t, err)
	for _, m := range regexp.MustCompile("(?ms)^```(sh|yaml)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		blocks = append(blocks, block{m[1], m[2]})
	}
	require.NotEmpty(t, blocks, page)
	return blocks
}

// follow writes the files of a page, which name themselves in a comment, to a directory, and runs its commands in one shell there. What they
// leave behind in the background ends with the test.
func follow(t *testing.T, dir string, blocks []block) {
	t.Helper()
	script := "set -euo pipefail\n"
	for _, b := range blocks {
		if b.language == "sh" {
			script += b.text
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(b.text, "# "), "\n")
		write(t, filepath.Join(dir, name), b.text)
	}
	out, err := os.Create(filepath.Join(dir, "out"))
	require.NoError(t, err)
	defer out.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-xc", script)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	// The clone is of this repository.
	cmd.Env = append(os.Environ(), "GIT_CONFIG_COUNT=1", "GIT_CONFIG_VALUE_0=https://github.com/otelgoroutine/goroutinereceiver",
		"GIT_CONFIG_KEY_0=url."+testbuild.Root()+".insteadOf")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { endGroup(cmd.Process.Pid) })
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, outOf(dir)())
	}
}

// endGroup ends the processes of a group, and returns when they have ended.
func endGroup(id int) {
	_ = syscall.Kill(-id, syscall.SIGTERM)
	for end := time.Now().Add(e2etest.Patience); syscall.Kill(-id, 0) == nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			_ = syscall.Kill(-id, syscall.SIGKILL)
			return
		}
	}
}

// outOf returns what tells what commands in a directory have written.
func outOf(dir string) func() string {
	return func() string {
		out, _ := os.ReadFile(filepath.Join(dir, "out"))
		return string(out)
	}
}

// get reads JSON, if there is any already.
func get(t *testing.T, url string, to any) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		return
	}
	defer response.Body.Close()
	_ = json.NewDecoder(response.Body).Decode(to)
}
