//go:build linux

package test

import (
	"os"
	"testing"
)

// object is one of JSON or YAML.
type object = map[string]any

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
