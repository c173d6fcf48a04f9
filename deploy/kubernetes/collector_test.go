//go:build full

package kubernetes

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestConfigurations has the full collector check the configurations in the manifests and the chart's values.
func TestConfigurations(t *testing.T) {
	m := load(t)
	data, err := os.ReadFile("helm-values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var v values
	if err := yaml.UnmarshalStrict(data, &v); err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]any{"agent": m.config(t, "goroutine-agent"), "gateway": m.config(t, "goroutine-gateway"), "chart": v.AlternateConfig} {
		t.Run(name, func(t *testing.T) {
			data, err := yaml.Marshal(config)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "config.yaml")
			if err := os.WriteFile(file, data, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("../../bin/otelcol-goroutine-full", "validate", "--config", file)
			cmd.Env = append(os.Environ(), "K8S_NODE_NAME=node", "POD_IP=10.0.0.1", "MY_POD_IP=10.0.0.1", "OTLP_ENDPOINT=localhost:4317", "KUBERNETES_SERVICE_HOST=10.0.0.2", "KUBERNETES_SERVICE_PORT=443")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
