package goexe

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestFileTakesNoMemory looks at how much of an executable counts as this process's memory after its analysis, and whether what is
// looked up then is still found.
func TestFileTakesNoMemory(t *testing.T) {
	exe := testbuild.Program(t, "busy", testbuild.Options{})
	b := analysed(t, exe)
	if kilobytes := residentOf(t, exe); kilobytes > 256 {
		t.Errorf("%d KiB of it are resident", kilobytes)
	}
	if len(b.Sites) == 0 || len(b.Frames(b.Sites[0].Address)) == 0 {
		t.Error("nothing is known of the functions any more")
	}
	if residentOf(t, exe) == 0 {
		t.Error("the file is not mapped, so this test looks at nothing")
	}
}

// residentOf returns how many KiB of a file's mappings are resident.
func residentOf(t *testing.T, path string) (kilobytes int) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for line := range strings.Lines(string(maps)) {
		var n int
		switch _, err := fmt.Sscanf(line, "Rss: %d kB", &n); {
		case err == nil && inside:
			kilobytes += n
		case strings.Contains(line, "-") && strings.Contains(line, " r"):
			inside = strings.HasSuffix(strings.TrimSpace(line), path)
		}
	}
	return kilobytes
}
