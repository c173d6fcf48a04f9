package goexe

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

func TestCache(t *testing.T) {
	hello := testbuild.Program(t, "hello", testbuild.Options{})
	path := filepath.Join(t.TempDir(), "program")
	place := func(exe string) {
		t.Helper()
		if out, err := exec.Command("cp", exe, path).CombinedOutput(); err != nil { // into the same inode
			t.Fatalf("%v: %s", err, out)
		}
	}
	place(hello)
	var c Cache
	get := func() *Binary {
		t.Helper()
		b, err := c.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = b.Close() })
		return b
	}
	first := get()
	entry := first.SystemStarts[0]
	name := first.StartFunction(entry)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again := get()
	if len(c.known) != 1 || again.Layout != first.Layout || !reflect.DeepEqual(again.Sites, first.Sites) {
		t.Errorf("the same file is not the same the second time: %+v, %+v", again, first)
	}
	if got := again.StartFunction(entry); got != name || got.Function == "" {
		t.Errorf("a function is %+v the second time, %+v the first", got, name)
	}
	place(testbuild.Program(t, "lifecycle", testbuild.Options{}))
	if other := get(); other.MainPath != "lifecycle" {
		t.Errorf("another program in the same inode is %q", other.MainPath)
	}
	if err := os.WriteFile(path, []byte("#!"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Open(path); err == nil {
		t.Error("what is no program was opened")
	}
}

// BenchmarkOpen analyses a binary of more than 200 MB.
func BenchmarkOpen(b *testing.B) {
	exe := testbuild.Module(b, "github.com/prometheus/prometheus", "v0.316.0", "./cmd/prometheus", "-ldflags=-compressdwarf=false")
	info, err := os.Stat(exe)
	if err != nil {
		b.Fatal(err)
	}
	for name, open := range map[string]func(string) (*Binary, error){"first": Open, "cached": new(Cache).Open} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				binary, err := open(exe)
				if err != nil {
					b.Fatal(err)
				}
				if err := binary.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(info.Size())/1e6, "file-MB")
		})
	}
}
