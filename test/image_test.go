//go:build linux && packaging

package test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestImage runs the image that "make image" makes, with what docs/install.md asks for: the host's processes, two capabilities, and a root and
// /sys that are read-only. It follows a program in another container, with namespaces and an overlay of its own.
func TestImage(t *testing.T) {
	testbuild.RequireRoot(t)
	id := strings.Repeat("8a1d3c5e", 8) // as container managers make them
	b := e2etest.NewBackend(t)
	bundle := filepath.Join(t.TempDir(), "collector")
	image := unpackImage(t, bundle)
	config := e2etest.NewConfig(e2etest.Receiver{Overhead: &e2etest.Overhead{}, Traces: &e2etest.Traces{}})
	config.Receivers["goroutine"] = object{
		"targets": []object{{"container_id": id[:12]}}, "overhead": object{"budget": 0}, "collection_interval": "500ms", "initial_delay": "0s",
	}
	config.Export(e2etest.OTLPExporter, e2etest.OTLP(b.Endpoint()), "metrics", "traces")
	if _, err := config.Write(filepath.Join(bundle, "rootfs", "etc", "otelcol-goroutine")); err != nil {
		t.Fatal(err)
	}
	collector := runContainer(t, "collector-"+strconv.Itoa(os.Getpid()), filepath.Join(bundle, "rootfs"), object{
		"process": object{
			"user": object{"uid": 0, "gid": 0}, "args": append(image.Entrypoint, image.Cmd...), "cwd": "/", "noNewPrivileges": true,
			"capabilities": capabilities("CAP_SYS_ADMIN", "CAP_SYS_PTRACE"),
		},
		"linux": object{"namespaces": []object{{"type": "mount"}, {"type": "ipc"}}},
	})

	dir := t.TempDir()
	lower := filepath.Join(dir, "lower")
	e2etest.Place(t, testbuild.Program(t, "parked", testbuild.Options{}), filepath.Join(lower, "app", "parked"))
	makeDirectories(t, filepath.Join(lower, "proc"), filepath.Join(lower, "sys"))
	program := runContainer(t, id, mountOverlay(t, dir, lower), object{
		"process": object{"user": object{"uid": 1000, "gid": 1000}, "args": []string{"/app/parked", "4"}, "cwd": "/"},
		"linux": object{
			"namespaces": []object{{"type": "mount"}, {"type": "pid"}, {"type": "ipc"}, {"type": "network"}}, "cgroupsPath": "/kubepods/" + id,
		},
	})

	e2etest.Eventually(t, "goroutines of the other container", func() bool { return b.Sum("go.goroutine.count") >= 40 }, func() string {
		return collector.log() + program.log()
	})
	for name, want := range map[string]string{
		"container.id": id, "process.executable.path": "/app/parked", "process.pid": strconv.Itoa(program.pid(t)), "service.name": "parked",
	} {
		if got := fromResource(b, name); got != want {
			t.Errorf("the resource's %s is %q, want %q", name, got, want)
		}
	}
	if got := executed(t, program.pid(t)); got != "/app/parked" {
		t.Errorf("that process runs %q", got)
	}
}

// fromResource returns an attribute of the first resource.
func fromResource(b *e2etest.Backend, name string) string {
	for _, r := range b.ResourceMetrics() {
		if v, ok := r.Resource().Attributes().Get(name); ok {
			return v.AsString()
		}
	}
	return ""
}

// executed returns what a process of the host was told to execute.
func executed(t *testing.T, pid int) string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ := strings.Cut(string(data), "\x00")
	return name
}

// imageConfig is what an image says of how to run it.
type imageConfig struct{ Entrypoint, Cmd []string }

// unpackImage makes a bundle's root file system of the image for this machine.
func unpackImage(t *testing.T, bundle string) imageConfig {
	t.Helper()
	dir := filepath.Join(testbuild.Root(), "build", "image", "otelcol-goroutine")
	type descriptor struct {
		Digest   string
		Platform struct{ Architecture string }
	}
	blob := func(d descriptor) string { return filepath.Join(dir, "blobs", strings.Replace(d.Digest, ":", "/", 1)) }
	var index struct{ Manifests []descriptor }
	readJSON(t, filepath.Join(dir, "index.json"), &index)
	for _, m := range index.Manifests {
		if m.Platform.Architecture != runtime.GOARCH {
			continue
		}
		var manifest struct {
			Config descriptor
			Layers []descriptor
		}
		readJSON(t, blob(m), &manifest)
		var config struct{ Config imageConfig }
		readJSON(t, blob(manifest.Config), &config)
		root := filepath.Join(bundle, "rootfs")
		makeDirectories(t, root)
		for _, layer := range manifest.Layers {
			if out, err := exec.Command("tar", "-xzf", blob(layer), "-C", root).CombinedOutput(); err != nil {
				t.Fatalf("unpack the image: %v\n%s", err, out)
			}
		}
		makeDirectories(t, filepath.Join(root, "proc"), filepath.Join(root, "sys"))
		return config.Config
	}
	t.Fatal("there is no image for this machine (make image)")
	return imageConfig{}
}

func readJSON(t *testing.T, path string, to any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, to); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func capabilities(names ...string) object {
	return object{"bounding": names, "effective": names, "permitted": names}
}

// container is one that runs until the test ends.
type container struct {
	id  string
	out *e2etest.Buffer
}

// runContainer completes a runtime's configuration for a root file system, and runs it.
func runContainer(t *testing.T, id, root string, spec object) container {
	t.Helper()
	bundle := t.TempDir()
	spec["ociVersion"] = "1.0.2"
	spec["root"] = object{"path": root, "readonly": true}
	spec["mounts"] = []object{
		{"destination": "/proc", "type": "proc", "source": "proc"},
		{"destination": "/sys", "type": "none", "source": "/sys", "options": []string{"rbind", "ro"}},
	}
	data, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(bundle, "config.json"), string(data))
	c := container{id, &e2etest.Buffer{}}
	cmd := exec.Command("runc", "run", "--bundle", bundle, id)
	cmd.Stdout, cmd.Stderr = c.out, c.out
	// The program reads its standard input until the test ends.
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("the test needs runc: %v", err)
	}
	t.Cleanup(func() {
		_ = exec.Command("runc", "delete", "--force", id).Run()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(c.log())
		}
	})
	return c
}

func (c container) log() string { return c.id + " logged:\n" + c.out.String() }

// pid returns the process id of a container's first process, as the host sees it.
func (c container) pid(t *testing.T) int {
	t.Helper()
	out, err := exec.Command("runc", "state", c.id).Output()
	if err != nil {
		t.Fatalf("runc state: %v", err)
	}
	var state struct{ PID int }
	if err := json.Unmarshal(out, &state); err != nil {
		t.Fatal(err)
	}
	return state.PID
}
