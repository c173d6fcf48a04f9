//go:build linux

package test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

const (
	apiPod = "5c0a1f9e-7d32-4b8a-9c11-0d2e4f6a8b0c"
	jobPod = "6d1b2a0f-8e43-4c9b-8d22-1e3f5a7b9c1d"
)

// TestPods selects one of two programs by the labels of its pod, as a kubelet on loopback tells them.
func TestPods(t *testing.T) {
	testbuild.RequireRoot(t)
	b := e2etest.NewBackend(t)
	exe := testbuild.Program(t, "parked", testbuild.Options{})
	wanted, other := testbuild.Start(t, exe, "1"), testbuild.Start(t, exe, "1")
	enterPod(t, apiPod, wanted.PID())
	enterPod(t, jobPod, other.PID())
	c := e2etest.StartCollector(t, selectingPods(t, startKubelet(t, "secret"), "secret", b.Endpoint()))
	e2etest.Eventually(t, "goroutines of the pod", func() bool { return b.Sum("go.goroutine.count") > 0 }, c.Out.String)
	for _, r := range b.ResourceMetrics() {
		if pid, has := r.Resource().Attributes().Get("process.pid"); has && pid.Int() != int64(wanted.PID()) {
			t.Errorf("process %d is followed", pid.Int())
		}
	}
	says := func(pid int) bool { return c.Out.Has(fmt.Sprintf(`"pid": %d`, pid)) }
	if !says(wanted.PID()) || says(other.PID()) {
		t.Errorf("processes %d and %d are in the pods:\n%s", wanted.PID(), other.PID(), c.Out)
	}
}

// TestPodsWithoutAccess shows a token that the kubelet does not take.
func TestPodsWithoutAccess(t *testing.T) {
	testbuild.RequireRoot(t)
	b := e2etest.NewBackend(t)
	c := e2etest.StartCollector(t, selectingPods(t, startKubelet(t, "secret"), "wrong", b.Endpoint()))
	c.Await("No process can be followed")
	c.Await("Unauthorized: the token is not taken (token_file)")
}

// startKubelet serves as a kubelet does, with two pods.
func startKubelet(t *testing.T, token string) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /pods", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, `{"kind": "PodList", "apiVersion": "v1", "items": [
			{"metadata": {"name": "api-7d4b9", "namespace": "shop", "uid": %q, "labels": {"app": "api"}}},
			{"metadata": {"name": "job-x2x", "namespace": "shop", "uid": %q, "labels": {"app": "job"}}}]}`, apiPod, jobPod)
	})
	s := httptest.NewTLSServer(mux)
	t.Cleanup(s.Close)
	return s
}

// selectingPods is a configuration that follows a pod's programs.
func selectingPods(t *testing.T, kubelet *httptest.Server, token, backend string) *e2etest.Config {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "token"), token+"\n")
	write(t, filepath.Join(dir, "ca.crt"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: kubelet.Certificate().Raw})))
	config := e2etest.NewConfig(e2etest.Receiver{Overhead: &e2etest.Overhead{}, Traces: &e2etest.Traces{}})
	config.Receivers["goroutine"] = object{
		"targets": []object{{"kubernetes": object{"namespace": "shop", "labels": object{"app": "api"}}}},
		"kubernetes": object{
			"endpoint": kubelet.URL, "token_file": filepath.Join(dir, "token"), "tls": object{"ca_file": filepath.Join(dir, "ca.crt")},
		},
		"overhead": object{"budget": 0}, "collection_interval": "500ms", "initial_delay": "0s",
	}
	config.Export(e2etest.OTLPExporter, e2etest.OTLP(backend), "metrics")
	return config
}

// enterPod puts a process into a control group such as the kubelet makes for a pod.
func enterPod(t *testing.T, uid string, pid int) {
	t.Helper()
	parent := "/sys/fs/cgroup"
	if _, err := os.Stat(filepath.Join(parent, "cgroup.controllers")); err != nil {
		parent = "/sys/fs/cgroup/pids" // not of the second version
	}
	pod := filepath.Join(parent, "kubepods", "besteffort", "pod"+uid)
	container := filepath.Join(pod, strings.Repeat("8a1d3c5e", 8))
	makeDirectories(t, container)
	t.Cleanup(func() {
		_ = os.WriteFile(filepath.Join(parent, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o644)
		for dir := container; dir != parent; dir = filepath.Dir(dir) {
			_ = os.Remove(dir) // as long as no other pod is below
		}
	})
	write(t, filepath.Join(container, "cgroup.procs"), strconv.Itoa(pid))
}
