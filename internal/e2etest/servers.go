//go:build linux

package e2etest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// Server is a program that people run, built from its published module.
type Server struct {
	Name, module, version, command string
	// arguments are given a directory of the server's own and two free addresses, of which it serves at the first.
	arguments func(dir, a, b string) []string
	// files are what the directory has, by name, for such an address.
	files map[string]func(a string) []byte
	// Probe is a path that answers over HTTP once the server serves; "" if it speaks something else.
	Probe string
}

// Servers are those that tests and benchmarks know.
var Servers = []Server{
	{
		Name: "caddy", module: "github.com/caddyserver/caddy/v2", version: "v2.10.0", command: "./cmd/caddy", Probe: "/",
		arguments: func(dir, a, _ string) []string { return []string{"file-server", "--root", dir, "--listen", a} },
		files: map[string]func(string) []byte{
			"index.html": func(string) []byte { return bytes.Repeat([]byte("x"), 1024) },
			LargeFile:    func(string) []byte { return make([]byte, 64<<20) },
		},
	},
	{
		Name: "etcd", module: "go.etcd.io/etcd/server/v3", version: "v3.5.21", command: ".", Probe: "/health",
		arguments: func(dir, a, b string) []string {
			return []string{
				"--data-dir", filepath.Join(dir, "data"), "--listen-client-urls", "http://" + a, "--advertise-client-urls", "http://" + a,
				"--listen-peer-urls", "http://" + b, "--initial-advertise-peer-urls", "http://" + b, "--initial-cluster", "default=http://" + b,
			}
		},
	},
	{
		Name: "nats", module: "github.com/nats-io/nats-server/v2", version: "v2.15.2", command: ".",
		arguments: func(_, a, _ string) []string {
			host, port, _ := strings.Cut(a, ":")
			return []string{"--addr", host, "--port", port}
		},
	},
	{
		Name: "coredns", module: "github.com/coredns/coredns", version: "v1.14.6", command: ".",
		arguments: func(dir, _, _ string) []string { return []string{"-conf", filepath.Join(dir, "Corefile"), "-quiet"} },
		files: map[string]func(string) []byte{"Corefile": func(a string) []byte {
			host, port, _ := strings.Cut(a, ":")
			return fmt.Appendf(nil, "%s:%s {\n bind %s\n hosts {\n 192.0.2.1 %s\n }\n}\n%s:%s {\n bind %s\n erratic {\n drop 0\n truncate 0\n delay 1 20ms\n }\n}\n",
				FastName, port, host, FastName, SlowName, port, host)
		}},
	},
	{
		Name: "prometheus", module: "github.com/prometheus/prometheus", version: "v0.316.0", command: "./cmd/prometheus", Probe: "/-/ready",
		arguments: func(dir, a, _ string) []string {
			return []string{"--config.file", filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", a}
		},
		files: map[string]func(string) []byte{"prometheus.yml": func(a string) []byte {
			return fmt.Appendf(nil, "scrape_configs:\n- job_name: self\n  scrape_interval: 1s\n  static_configs:\n  - targets: [%q]\n", a)
		}},
	},
}

// What the servers can be asked for: a file that Caddy takes long to send, and names of which CoreDNS knows the one, and the other after a while.
const (
	LargeFile = "large"
	FastName  = "fast.test."
	SlowName  = "slow.test."
)

// ServerNamed returns one of Servers.
func ServerNamed(name string) (Server, error) {
	for _, s := range Servers {
		if s.Name == name {
			return s, nil
		}
	}
	return Server{}, fmt.Errorf("no server has the name %q", name)
}

// Build builds the server, as it is for production, and returns the path of its executable.
func (s Server) Build() (string, error) { return testbuild.BuildModule(s.module, s.version, s.command) }

// Start runs an executable of the server in a directory, and returns the address that it will serve at. What it says goes into a Buffer, its
// Stderr.
func (s Server) Start(exe, dir string) (running *exec.Cmd, address string, err error) {
	address, err = FreeAddress()
	if err != nil {
		return nil, "", err
	}
	other, err := FreeAddress()
	if err != nil {
		return nil, "", err
	}
	for name, content := range s.files {
		if err := os.WriteFile(filepath.Join(dir, name), content(address), 0o644); err != nil {
			return nil, "", err
		}
	}
	cmd := exec.Command(exe, s.arguments(dir, address, other)...)
	said := &Buffer{}
	cmd.Stdout, cmd.Stderr = said, said
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir)
	return cmd, address, cmd.Start()
}

// StopServer ends a server as a service manager does.
func StopServer(running *exec.Cmd) {
	_ = running.Process.Signal(syscall.SIGTERM)
	_ = running.Wait()
}
