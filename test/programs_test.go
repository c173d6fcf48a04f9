//go:build linux && matrix

package test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// server is a program that people run.
type server struct {
	module, version, command string
	// arguments are given a directory of its own and two free addresses.
	arguments func(dir, a, b string) []string
	// url answers once it serves.
	url func(a string) string
}

var servers = map[string]server{
	"etcd": {
		module: "go.etcd.io/etcd/server/v3", version: "v3.5.21", command: ".",
		arguments: func(dir, a, b string) []string {
			return []string{
				"--data-dir", dir, "--listen-client-urls", "http://" + a, "--advertise-client-urls", "http://" + a,
				"--listen-peer-urls", "http://" + b, "--initial-advertise-peer-urls", "http://" + b, "--initial-cluster", "default=http://" + b,
			}
		},
		url: func(a string) string { return "http://" + a + "/health" },
	},
	"caddy": {
		module: "github.com/caddyserver/caddy/v2", version: "v2.10.0", command: "./cmd/caddy",
		arguments: func(dir, a, _ string) []string { return []string{"file-server", "--root", dir, "--listen", a} },
		url:       func(a string) string { return "http://" + a + "/" },
	},
	"prometheus": {
		module: "github.com/prometheus/prometheus", version: "v0.316.0", command: "./cmd/prometheus",
		arguments: func(dir, a, _ string) []string {
			return []string{"--config.file", filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path", dir, "--web.listen-address", a}
		},
		url: func(a string) string { return "http://" + a + "/-/ready" },
	},
}

// TestPrograms follows programs that people run, built as they are, under some requests.
func TestPrograms(t *testing.T) {
	testbuild.RequireRoot(t)
	for name, s := range servers {
		t.Run(name, func(t *testing.T) {
			exe := testbuild.Module(t, s.module, s.version, s.command)
			dir, a, b := t.TempDir(), e2etest.Address(t), e2etest.Address(t)
			for _, file := range []string{"index.html", "prometheus.yml"} {
				if err := os.WriteFile(filepath.Join(dir, file), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			backend := e2etest.NewBackend(t)
			c := e2etest.StartCollector(t, e2etest.Exporting(e2etest.Following(exe), backend.Endpoint()))
			cmd := exec.Command(exe, s.arguments(dir, a, b)...)
			out := &e2etest.Buffer{}
			cmd.Stdout, cmd.Stderr = out, out
			cmd.Env = append(os.Environ(), "HOME="+dir)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = cmd.Process.Signal(syscall.SIGTERM)
				_ = cmd.Wait()
			}()
			c.Await("Following process")
			served := 0
			e2etest.Eventually(t, name+" to serve", func() bool {
				if response, err := http.Get(s.url(a)); err == nil {
					response.Body.Close()
					served++
				}
				return served == 50
			}, out.String)
			http.DefaultClient.CloseIdleConnections()
			e2etest.Eventually(t, "spans of connections", func() bool {
				for _, span := range backend.Spans() {
					if e2etest.StartFunction(span) == "net/http.(*conn).serve" {
						return true
					}
				}
				return false
			}, c.Out.String)
			if c.Out.Has("\twarn\t") {
				t.Errorf("the collector warned:\n%s", c.Out)
			}
		})
	}
}
