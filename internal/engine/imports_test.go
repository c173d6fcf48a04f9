package engine

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestOnlyTheUprobeEngineKnowsBPF keeps BPF behind the seam: beside the engine that uses it, only the generated objects and the benchmark,
// which compares that engine with other programs on uprobes, may import it.
func TestOnlyTheUprobeEngineKnowsBPF(t *testing.T) {
	const module = "github.com/otelgoroutine/goroutinereceiver"
	allowed := []string{module + "/bpf", module + "/internal/engine/uprobe", module + "/internal/bench", module + "/internal/bench/bpf"}
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	found := 0
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		isBPF := func(path string) bool {
			return path == module+"/bpf" || strings.HasPrefix(path, "github.com/cilium/ebpf")
		}
		if !slices.ContainsFunc(fields[1:], isBPF) {
			continue
		}
		if found++; !slices.Contains(allowed, fields[0]) {
			t.Errorf("%s imports BPF: what it needs belongs into package engine", fields[0])
		}
	}
	if found == 0 {
		t.Error("nothing imports BPF: the test looks for the wrong paths")
	}
}
