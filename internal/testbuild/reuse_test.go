package testbuild

import (
	"os"
	"path/filepath"
	"testing"
)

// TestStamp changes, one after the other, all that a program depends on.
func TestStamp(t *testing.T) {
	dir := t.TempDir()
	put := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stamp := func(args, env []string) string {
		t.Helper()
		s, err := stampOf(dir, args, env)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	put("main.go", "package main")
	if s := stamp(nil, nil); s != "" {
		t.Errorf("a program of the repository's module has the stamp %q", s)
	}
	put("go.mod", "module program")
	seen := map[string]string{}
	check := func(what, s string) {
		t.Helper()
		if s == "" || seen[s] != "" {
			t.Errorf("with %s the stamp is %q, as with %s", what, s, seen[s])
		}
		seen[s] = what
	}
	check("the source", stamp(nil, nil))
	check("an argument", stamp([]string{"-race"}, nil))
	check("a variable", stamp(nil, []string{"-race"}))
	put("main.go", "package  main")
	check("another source", stamp(nil, nil))
	put("other.go", "package main")
	check("another file", stamp(nil, nil))
	profile := filepath.Join(t.TempDir(), "profile")
	for _, content := range []string{"a profile", "another profile"} {
		if err := os.WriteFile(profile, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		check(content, stamp([]string{"-pgo=" + profile}, nil))
	}
	exe := filepath.Join(t.TempDir(), "program")
	if isBuilt(exe, "stamp") {
		t.Error("what is not there is built")
	}
	for file, content := range map[string]string{exe: "program", stampFile(exe): "stamp"} {
		if err := os.WriteFile(file, []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if !isBuilt(exe, "stamp") || isBuilt(exe, "other") || isBuilt(exe, "") {
		t.Error("a stamp is not told from another")
	}
}
