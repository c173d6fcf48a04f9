//go:build linux

package goroutinereceiver

import (
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/otelgoroutine/goroutinereceiver/internal/metadata"
	"github.com/otelgoroutine/goroutinereceiver/internal/telemetry"
)

func TestLoadConfig(t *testing.T) {
	all, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		want  func(*Config)
		error string
	}{
		"goroutine": {want: func(c *Config) { c.Targets = []TargetConfig{{Executable: "/srv/*/bin/api"}} }},
		"goroutine/all": {want: func(c *Config) {
			c.Targets = []TargetConfig{
				{Executable: "/srv/api"},
				{PID: 4242},
				{CommandLine: "serve --prod"},
				{ContainerID: "0123456789ab"},
				{Cgroup: "/system.slice/*.service"},
				{Kubernetes: &PodConfig{Namespace: "shop", Pod: "api-*", Labels: map[string]string{"app.kubernetes.io/name": "api"}}},
				{All: true},
			}
			c.Exclude = []TargetConfig{{Executable: "/usr/bin/*"}}
			c.Kubernetes.Endpoint, c.Kubernetes.TLS.InsecureSkipVerify = "https://10.0.0.1:10250", true
			c.Self = true
			c.Mode = modeSnapshot
			c.Engine = engineAuto
			c.Trampoline.ARM64 = experimental
			c.Blocked = BlockedConfig{Threshold: 30 * time.Second, Top: 5}
			c.StartFunctions.Top = 7
			c.WaitLines.Top = 3
			c.CollectionInterval = 30 * time.Second
			c.Syscalls = false
			c.MaxGoroutines = 2000
			c.MaxGoroutinesPerTarget = 1500
			c.RingBufferSize = 1 << 20
			c.RetryOnFailure.Enabled, c.RetryOnFailure.MaxElapsedTime = true, time.Minute
			c.Overhead = OverheadConfig{Budget: 0.1, Floor: 0.01, Collector: 0.5}
			c.Metrics.GoGoroutineTime.Enabled = false
			c.Metrics.Lifetime.Enabled = false
			c.ResourceAttributes.ProcessPid.Enabled = false
			c.Logs.Transitions = true
			c.Traces = TracesConfig{
				SamplingRatio: 0.25, MaxSpansPerSecond: 500, MaxSpansPerTrace: 600, States: telemetry.StateEvents, Noise: telemetry.NoiseKeep, MinStateDuration: time.Millisecond, MaxStates: 7,
				Outlives: 5 * time.Second, SegmentDuration: 10 * time.Second, Stacks: stacksFull,
				Labels: LabelsConfig{TraceID: []string{"trace"}, SpanID: []string{"span"}},
			}
		}},
		"goroutine/unknown":                {error: "has invalid keys: target"},
		"goroutine/no_targets":             {error: "targets: at least one is needed"},
		"goroutine/empty_target":           {error: "targets::0: one of pid, executable, command_line, container_id, cgroup, kubernetes and all is needed"},
		"goroutine/two_criteria":           {error: "targets::1: pid, executable, command_line, container_id, cgroup, kubernetes and all exclude each other"},
		"goroutine/negative_pid":           {error: "targets::0: pid: -1 is not allowed"},
		"goroutine/bad_glob":               {error: `targets::0: executable: "/srv/[": syntax error in pattern`},
		"goroutine/bad_expression":         {error: "targets::0: command_line: error parsing regexp"},
		"goroutine/bad_container":          {error: `exclude::0: container_id: "0123" is not allowed, it must be 12 or more of the digits`},
		"goroutine/bad_cgroup":             {error: `exclude::0: cgroup: "/a[": syntax error in pattern`},
		"goroutine/mode":                   {error: `mode: "trace" is not allowed, it must be probes or snapshot`},
		"goroutine/engine":                 {error: `engine: "ptrace" is not allowed, it must be uprobe, trampoline or auto`},
		"goroutine/arm64":                  {error: `trampoline: arm64: "proven" is not allowed, it must be experimental or empty`},
		"goroutine/threshold":              {error: "blocked: threshold: 1ms is not allowed, it must be 1s or more"},
		"goroutine/top":                    {error: "blocked: top: -1 is not allowed, it must be 0 or more"},
		"goroutine/ratio":                  {error: "traces: sampling_ratio: 1.5 is not allowed, it must be from 0 to 1"},
		"goroutine/stacks":                 {error: `traces: stacks: "deep" is not allowed, it must be off, leaf or full`},
		"goroutine/per_target":             {error: "max_goroutines_per_target: 5 is not allowed, it must be 1024 or more"},
		"goroutine/overhead":               {error: "overhead: budget: 5 is not allowed, it must be from 0 to 1"},
		"goroutine/overhead_nan":           {error: "overhead: budget: NaN is not allowed, it must be from 0 to 1"},
		"goroutine/overhead_floor":         {error: "overhead: floor: -0.1 is not allowed, it must be from 0 to 1"},
		"goroutine/overhead_host":          {error: "overhead: host: NaN is not allowed, it must be from 0 to 1"},
		"goroutine/overhead_collector":     {error: "overhead: collector: 1.5 is not allowed, it must be from 0 to 1"},
		"goroutine/wait_lines":             {error: "wait_lines: top: -1 is not allowed, it must be 0 or more"},
		"goroutine/start_functions":        {error: "start_functions: top: -1 is not allowed, it must be 0 or more"},
		"goroutine/ring_buffer":            {error: "ring_buffer_size: 1000000 is not allowed, it must be a power of two from 65536 to 1073741824"},
		"goroutine/retry":                  {error: "retry_on_failure: initial_interval value must be"},
		"goroutine/interval_without_unit":  {error: "collection_interval: 10ns is not allowed, a duration needs a unit: write 10s if you mean seconds"},
		"goroutine/short_interval":         {error: "collection_interval: 5ms is not allowed, it must be 10ms or more"},
		"goroutine/threshold_without_unit": {error: "blocked: threshold: 30ns is not allowed, a duration needs a unit: write 30s if you mean seconds"},
		"goroutine/state_without_unit": {error: "traces: min_state_duration: 5ns is not allowed, a duration needs a unit: write 5s if you mean seconds\n" +
			"segment_duration: 60ns is not allowed, a duration needs a unit: write 60s if you mean seconds"},
		"goroutine/retry_without_unit":    {error: "retry_on_failure: initial_interval: 1ns is not allowed, a duration needs a unit"},
		"goroutine/relative":              {error: `targets::0: executable: "api" never matches: it must begin with /, as in "/*/*/api", and * stands for no /`},
		"goroutine/any_depth":             {error: `targets::0: executable: "/srv/**/api" is not allowed: ** is the same as *, which stands for no /; name each depth as a target of its own`},
		"goroutine/relative_cgroup":       {error: `targets::0: cgroup: "system.slice/*" never matches: it must begin with /`},
		"goroutine/container_of_docker":   {error: `targets::0: container_id: "docker://0123456789ab" is not allowed, it must be 12 or more of the digits 0 to 9 and a to f`},
		"goroutine/container_in_capitals": {error: `targets::0: container_id: "0123456789AB" is not allowed`},
		"goroutine/container_too_long":    {error: "targets::0: container_id: "},
		"goroutine/variable_not_set":      {error: "targets::0: executable: it is empty; if that is ${env:NAME}, the variable is not set"},
		"goroutine/pid_not_set":           {error: "targets::1: pid: it is empty; if that is ${env:NAME}, the variable is not set"},
		"goroutine/no_kubernetes":         {error: "kubernetes: endpoint: it is needed, as targets name pods"},
		"goroutine/no_pods":               {error: "targets::0::kubernetes: one of namespace, pod and labels is needed"},
		"goroutine/namespace_not_set":     {error: "targets::0::kubernetes: namespace: it is empty; if that is ${env:NAME}, the variable is not set"},
		"goroutine/bad_namespace":         {error: `targets::0::kubernetes: namespace: "[": syntax error in pattern`},
		"goroutine/readable_token":        {error: `kubernetes: endpoint: "http://10.0.0.1:10255" is not allowed, as everybody could read the token`},
		"goroutine/no_url":                {error: `kubernetes: endpoint: "10.0.0.1:10250" is not allowed`},
		"goroutine/unknown_attribute":     {error: "'metrics' go.goroutine.created: metric go.goroutine.created doesn't have an attribute color"},
		"goroutine/states":                {error: `traces: states: "all" is not allowed, it must be spans, events or none`},
		"goroutine/noise":                 {error: `traces: noise: "drop" is not allowed, it must be fold or keep`},
		"goroutine/max_spans":             {error: "traces: max_spans_per_second: -1 is not allowed, it must be 0 or more"},
		"goroutine/max_states":            {error: "traces: max_states: -1 is not allowed"},
		"goroutine/outlives":              {error: "traces: outlives: 0s is not allowed, it must be 1ms or more"},
		"goroutine/segment_duration":      {error: "traces: segment_duration: 10ms is not allowed, it must be 1s or more"},
		"goroutine/max_goroutines":        {error: "max_goroutines: 10 is not allowed, it must be 1024 or more"},
		"goroutine/interval":              {error: "\"collection_interval\": requires positive value"},
	} {
		t.Run(name, func(t *testing.T) {
			sub, err := all.Sub(name)
			require.NoError(t, err)
			cfg := createDefaultConfig()
			err = sub.Unmarshal(cfg)
			if err == nil {
				err = confmap.Validate(cfg)
			}
			if c.error != "" {
				require.ErrorContains(t, err, c.error)
				for _, internal := range []string{"metricsconfig", "controllerconfig"} {
					assert.NotContains(t, err.Error(), internal)
				}
				return
			}
			require.NoError(t, err)
			want := createDefaultConfig().(*Config)
			c.want(want)
			assert.Empty(t, cmp.Diff(want, cfg, cmpopts.IgnoreUnexported(TargetConfig{}, PodConfig{}), ignoreGenerated))
		})
	}
}

// ignoreGenerated leaves out what the generated configurations of metrics and of resource attributes note for themselves.
var ignoreGenerated = cmp.FilterPath(func(p cmp.Path) bool {
	field, ok := p.Last().(cmp.StructField)
	return ok && field.Name() == "enabledSetByUser"
}, cmp.Ignore())

func TestRatioMustBeANumber(t *testing.T) {
	c := createDefaultConfig().(*Config)
	c.Traces.SamplingRatio = math.NaN()
	assert.ErrorContains(t, c.Traces.Validate(), "sampling_ratio")
}

// A collector that could give nothing of what its pipelines want does not start.
func TestSnapshotsGiveNoTraces(t *testing.T) {
	f := NewFactory()
	set := receivertest.NewNopSettings(metadata.Type)
	snapshots := func() *Config {
		c := f.CreateDefaultConfig().(*Config)
		c.Mode, c.Targets = modeSnapshot, []TargetConfig{{Executable: "/no/such"}}
		return c
	}
	_, err := f.CreateTraces(t.Context(), set, snapshots(), consumertest.NewNop())
	require.ErrorContains(t, err, "mode: snapshot gives no traces")
	logs, err := f.CreateLogs(t.Context(), set, snapshots(), consumertest.NewNop())
	require.NoError(t, err)
	require.ErrorContains(t, logs.Start(t.Context(), componenttest.NewNopHost()), "with a pipeline of metrics only")
	require.NoError(t, logs.Shutdown(t.Context()))
}

func TestFactory(t *testing.T) {
	f := NewFactory()
	assert.Equal(t, component.MustNewType("goroutine"), f.Type())
	assert.Equal(t, component.StabilityLevelDevelopment, f.TracesStability())
	assert.Equal(t, component.StabilityLevelDevelopment, f.MetricsStability())
	assert.Equal(t, component.StabilityLevelDevelopment, f.LogsStability())
	assert.Equal(t, metadata.Type, f.Type())
}
