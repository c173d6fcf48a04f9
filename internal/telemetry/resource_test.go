//go:build linux

package telemetry

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestProgramName(t *testing.T) {
	for path, want := range map[string]string{
		"go.etcd.io/etcd/server/v3":                 "etcd",
		"github.com/caddyserver/caddy/v2/cmd/caddy": "caddy",
		"github.com/nats-io/nats-server/v2":         "nats-server",
		"github.com/coredns/coredns":                "coredns",
		"example.com/shop/cmd/server":               "shop",
		"example.com/shop/cmd/worker":               "worker",
		"example.com/server":                        "server",
		"example.com/v2":                            "",
		"server":                                    "server",
		"command-line-arguments":                    "",
		"":                                          "",
	} {
		assert.Equal(t, want, programName(path), path)
	}
}
