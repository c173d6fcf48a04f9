package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

const program = "package main\n\nfunc main() {}\n"

// measure builds a program with a release of Go and reads the layout from its DWARF and its data.
func measure(release string) (*goexe.Layout, error) {
	dir, err := os.MkdirTemp("", "genlayouts")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o644); err != nil {
		return nil, err
	}
	exe := filepath.Join(dir, "program")
	cmd := exec.Command("go", "build", "-o", exe, "main.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+release, "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return goexe.MeasureLayout(release, exe)
}
