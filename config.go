//go:build linux

package goroutinereceiver

import (
	"errors"
	"fmt"
	"math/bits"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/scraper/scraperhelper"

	"github.com/otelgoroutine/goroutinereceiver/internal/metadata"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
	"github.com/otelgoroutine/goroutinereceiver/internal/telemetry"
)

// Config is the receiver's configuration.
type Config struct {
	scraperhelper.ControllerConfig `mapstructure:",squash"`

	// Metrics and ResourceAttributes turn single metrics and resource attributes on and off.
	Metrics            MetricsConfig                     `mapstructure:"metrics"`
	ResourceAttributes metadata.ResourceAttributesConfig `mapstructure:"resource_attributes"`

	// Targets name the processes to follow: those that any of them matches, and none of Exclude does.
	Targets []TargetConfig `mapstructure:"targets"`
	Exclude []TargetConfig `mapstructure:"exclude"`
	// Kubernetes says whom to ask for pods, if targets name any.
	Kubernetes KubernetesConfig `mapstructure:"kubernetes"`
	// Self allows the collector itself to be one of them.
	Self bool `mapstructure:"self"`
	// Mode says how goroutines are seen: by probes, or by snapshots of the processes' memory, which attach nothing and give metrics only.
	Mode Mode `mapstructure:"mode"`
	// Engine says what sees goroutines change their state in the mode of probes: uprobes of the kernel, trampolines in the processes, or
	// trampolines only where uprobes cost more than they may.
	Engine Engine `mapstructure:"engine"`
	// Trampoline says where trampolines may be used.
	Trampoline TrampolineConfig `mapstructure:"trampoline"`
	// Syscalls attaches the extra probes that Go 1.26 and later need to show system calls.
	Syscalls bool `mapstructure:"syscalls"`
	// MaxGoroutines is how many goroutines of all processes together can be followed at a time. The kernel takes about 170 bytes for each
	// at start.
	MaxGoroutines int `mapstructure:"max_goroutines"`
	// MaxGoroutinesPerTarget is how many goroutines of one process can be followed at a time.
	MaxGoroutinesPerTarget int `mapstructure:"max_goroutines_per_target"`
	// RingBufferSize is how many bytes of events of sampled goroutines can wait for the collector: a power of two.
	RingBufferSize int `mapstructure:"ring_buffer_size"`
	// RetryOnFailure says whether and how spans and log records are offered again that the pipeline did not take.
	RetryOnFailure configretry.BackOffConfig `mapstructure:"retry_on_failure"`
	// Overhead says what following may cost.
	Overhead OverheadConfig `mapstructure:"overhead"`
	// Traces says what becomes a span.
	Traces TracesConfig `mapstructure:"traces"`
	// Logs says what becomes a log record, beside what concerns processes and groups of goroutines.
	Logs LogsConfig `mapstructure:"logs"`
	// Blocked says which goroutines count as blocked.
	Blocked BlockedConfig `mapstructure:"blocked"`
	// StartFunctions says how goroutines, and how long they run, are counted by the function that they were started for.
	StartFunctions StartFunctionsConfig `mapstructure:"start_functions"`
	// WaitLines says how the time that goroutines wait is told by line.
	WaitLines WaitLinesConfig `mapstructure:"wait_lines"`

	_ struct{}
}

// Mode says how goroutines are seen.
type Mode string

const (
	modeProbes   Mode = "probes"
	modeSnapshot Mode = "snapshot"
)

// Engine says what sees goroutines change their state.
type Engine string

const (
	engineUprobe     Engine = "uprobe"
	engineTrampoline Engine = "trampoline"
	engineAuto       Engine = "auto"
)

// TrampolineConfig says where trampolines may be used.
type TrampolineConfig struct {
	// ARM64 is "experimental" to use them on arm64, where they were never proven on real hardware, else empty.
	ARM64 string `mapstructure:"arm64"`

	_ struct{}
}

// experimental is what allows something that is not proven.
const experimental = "experimental"

// OverheadConfig says what following may cost.
type OverheadConfig struct {
	// Budget is the share of its own processor time that probes may take, from 0 to 1. If they take more, less is seen of it. 0 sets no
	// limit, whatever Floor and Host are.
	Budget float64 `mapstructure:"budget"`
	// Floor is the share of one processor that probes may always take of a process, from 0 to 1.
	Floor float64 `mapstructure:"floor"`
	// Host is the share of all the machine's processors that the probes of all processes together may take, from 0 to 1. It counts more than
	// Budget and Floor; 0 sets no such limit.
	Host float64 `mapstructure:"host"`
	// Collector is the share of one processor that the collector itself may take to read what trampolines record, from 0 to 1. While it
	// would take more, only counts and distributions are made of it; 0 sets no such limit.
	Collector float64 `mapstructure:"collector"`

	_ struct{}
}

// BlockedConfig says which goroutines count as blocked.
type BlockedConfig struct {
	// Threshold is for how long a goroutine waits until it counts.
	Threshold time.Duration `mapstructure:"threshold"`
	// Top is how many of a process's places that created blocked goroutines are told apart.
	Top int `mapstructure:"top"`

	_ struct{}
}

// StartFunctionsConfig says how goroutines are counted by the function that they were started for.
type StartFunctionsConfig struct {
	// Top is how many functions of a process are told apart.
	Top int `mapstructure:"top"`

	_ struct{}
}

// WaitLinesConfig says how the time that goroutines wait is told by line.
type WaitLinesConfig struct {
	// Top is how many lines of a process are told apart for each reason to wait.
	Top int `mapstructure:"top"`

	_ struct{}
}

// MetricsConfig turns single metrics on and off.
type MetricsConfig struct {
	metadata.MetricsConfig     `mapstructure:",squash"`
	telemetry.HistogramsConfig `mapstructure:",squash"`
}

// TargetConfig names processes by one criterion.
type TargetConfig struct {
	// PID is a process's id.
	PID int `mapstructure:"pid"`
	// Executable is a glob on the resolved path of the executable.
	Executable string `mapstructure:"executable"`
	// CommandLine is a regular expression that matches a part of the arguments, joined by spaces.
	CommandLine string `mapstructure:"command_line"`
	// ContainerID is the id of a container, or at least 12 digits of its beginning.
	ContainerID string `mapstructure:"container_id"`
	// Cgroup is a glob on the path of a control group.
	Cgroup string `mapstructure:"cgroup"`
	// Kubernetes names pods. KubernetesConfig says who knows them.
	Kubernetes *PodConfig `mapstructure:"kubernetes"`
	// All stands for every Go program.
	All bool `mapstructure:"all"`

	empty string // a key that has no value, as of an environment variable that is not set
}

// LogsConfig says what becomes a log record.
type LogsConfig struct {
	// Transitions makes one of each change of state of a goroutine that is traced.
	Transitions bool `mapstructure:"transitions"`

	_ struct{}
}

// TracesConfig says what becomes a span. Log records of changes of state tell of the same goroutines.
type TracesConfig struct {
	// SamplingRatio is the share of goroutine trees that are traced, from 0 to 1.
	SamplingRatio float64 `mapstructure:"sampling_ratio"`
	// MaxSpansPerSecond is how many spans of a process, and log records of its goroutines, are made in a second, over which trees that begin are not traced; 0 sets no limit.
	MaxSpansPerSecond int `mapstructure:"max_spans_per_second"`
	// MaxSpansPerTrace is how many spans of goroutines and of their states a trace has; goroutines that are created later in it have none. 0
	// sets no limit.
	MaxSpansPerTrace int `mapstructure:"max_spans_per_trace"`
	// States says how the intervals of a goroutine's life are shown: spans, events or none.
	States telemetry.States `mapstructure:"states"`
	// Noise says what becomes of that which hides more than it tells, as intervals too short to be seen: fold or keep.
	Noise telemetry.Noise `mapstructure:"noise"`
	// MinStateDuration is the shortest interval that is shown as one, unless Noise is kept.
	MinStateDuration time.Duration `mapstructure:"min_state_duration"`
	// MaxStates is how many intervals of a goroutine are shown at the most in a segment.
	MaxStates int `mapstructure:"max_states"`
	// Outlives is for how long a trace goes on after its root has ended: what lasts longer, or begins later, has a trace of its own.
	Outlives time.Duration `mapstructure:"outlives"`
	// SegmentDuration is after what time a goroutine that lives on is told of in a segment.
	SegmentDuration time.Duration `mapstructure:"segment_duration"`
	// Stacks says how much is told of where a goroutine blocks: nothing, the innermost frame that is the program's own, or all frames. Without,
	// the life of a goroutine is not told in episodes.
	Stacks Stacks `mapstructure:"stacks"`
	// Join makes goroutines that are created for a span of the program's own, as their labels tell, its children in its trace, and of those
	// that work for it later the states that they are in meanwhile. Without, there are links.
	Join bool `mapstructure:"join"`
	// Labels are the keys of profiler labels that name such a span.
	Labels LabelsConfig `mapstructure:"labels"`

	_ struct{}
}

// Stacks says how much is told of where a goroutine blocks.
type Stacks string

const (
	stacksOff  Stacks = "off"
	stacksLeaf Stacks = "leaf"
	stacksFull Stacks = "full"
)

// LabelsConfig are keys of profiler labels (runtime/pprof), of which the first that a goroutine has counts. Their values are hexadecimal
// digits. Labels are not looked at if either list is empty.
type LabelsConfig struct {
	TraceID []string `mapstructure:"trace_id"`
	SpanID  []string `mapstructure:"span_id"`

	_ struct{}
}

// minGoroutines is what even a small program needs.
const minGoroutines = 1024

// Ring buffers are made of pages, of which arm64 has some of 64 KiB.
const (
	minRingBuffer = 64 << 10
	maxRingBuffer = 1 << 30
)

func createDefaultConfig() component.Config {
	controller := scraperhelper.NewDefaultControllerConfig()
	controller.CollectionInterval = 10 * time.Second
	retry := configretry.NewDefaultBackOffConfig()
	// Where several pipelines share the receiver, it cannot tell which of them took what another did not: offered again, that one has it twice.
	retry.Enabled = false
	retry.InitialInterval = time.Second
	return &Config{
		ControllerConfig: controller,
		Metrics: MetricsConfig{
			MetricsConfig:    metadata.DefaultMetricsConfig(),
			HistogramsConfig: telemetry.DefaultHistogramsConfig(),
		},
		ResourceAttributes: metadata.DefaultResourceAttributesConfig(),
		Kubernetes:         defaultKubernetesConfig(),
		Mode:               modeProbes,
		Engine:             engineUprobe,
		Blocked:            BlockedConfig{Threshold: time.Minute, Top: 20},
		StartFunctions:     StartFunctionsConfig{Top: 20},
		WaitLines:          WaitLinesConfig{Top: 10},
		Syscalls:           true,
		MaxGoroutines:      128 << 10,
		// A process that leaks leaves a quarter to others.
		MaxGoroutinesPerTarget: 96 << 10,
		RingBufferSize:         8 << 20,
		RetryOnFailure:         retry,
		Overhead:               OverheadConfig{Budget: 0.05, Floor: 0.02, Host: 0.02, Collector: 0.2},
		Traces: TracesConfig{
			SamplingRatio:     1,
			MaxSpansPerSecond: 10_000,
			MaxSpansPerTrace:  10_000,
			States:            telemetry.StateSpans,
			Noise:             telemetry.NoiseFold,
			MinStateDuration:  100 * time.Microsecond,
			MaxStates:         1000,
			Outlives:          time.Second,
			SegmentDuration:   time.Minute,
			Stacks:            stacksLeaf,
			Join:              true,
			Labels: LabelsConfig{
				TraceID: []string{"trace_id", "traceid", "traceID", "trace.id", "otel.trace_id"},
				SpanID:  []string{"span_id", "spanid", "spanID", "span.id", "otel.span_id"},
			},
		},
	}
}

// shortestInterval is the least time between two collections: one takes milliseconds.
const shortestInterval = 10 * time.Millisecond

// Validate reports what is out of range. The collector puts the path of the key before the message.
func (c *Config) Validate() error {
	var errs []error
	if len(c.Targets) == 0 {
		errs = append(errs, errors.New(`targets: at least one is needed, such as "- executable: /srv/bin/api"`))
	}
	if c.Kubernetes.Endpoint == "" && slices.ContainsFunc(slices.Concat(c.Targets, c.Exclude), func(t TargetConfig) bool { return t.Kubernetes != nil }) {
		errs = append(errs, errors.New(`kubernetes: endpoint: it is needed, as targets name pods; such as "https://${env:NODE_IP}:10250"`))
	}
	if c.Mode != modeProbes && c.Mode != modeSnapshot {
		errs = append(errs, fmt.Errorf("mode: %q is not allowed, it must be probes or snapshot", c.Mode))
	}
	if c.Engine != engineUprobe && c.Engine != engineTrampoline && c.Engine != engineAuto {
		errs = append(errs, fmt.Errorf("engine: %q is not allowed, it must be uprobe, trampoline or auto", c.Engine))
	}
	if c.MaxGoroutines < minGoroutines {
		errs = append(errs, fmt.Errorf("max_goroutines: %d is not allowed, it must be %d or more", c.MaxGoroutines, minGoroutines))
	}
	if c.MaxGoroutinesPerTarget < minGoroutines {
		errs = append(errs, fmt.Errorf("max_goroutines_per_target: %d is not allowed, it must be %d or more", c.MaxGoroutinesPerTarget, minGoroutines))
	}
	if c.RingBufferSize < minRingBuffer || c.RingBufferSize > maxRingBuffer || bits.OnesCount(uint(c.RingBufferSize)) != 1 {
		errs = append(errs, fmt.Errorf("ring_buffer_size: %d is not allowed, it must be a power of two from %d to %d", c.RingBufferSize, minRingBuffer, maxRingBuffer))
	}
	return errors.Join(append(errs, inRange(
		duration{"collection_interval", c.CollectionInterval, shortestInterval},
		duration{"initial_delay", c.InitialDelay, 0},
		duration{"timeout", c.Timeout, 0},
		duration{"retry_on_failure: initial_interval", c.RetryOnFailure.InitialInterval, 0},
		duration{"retry_on_failure: max_interval", c.RetryOnFailure.MaxInterval, 0},
		duration{"retry_on_failure: max_elapsed_time", c.RetryOnFailure.MaxElapsedTime, 0},
	))...)
}

// duration is the value of a key, and the least that is allowed.
type duration struct {
	key     string
	is, min time.Duration
}

// shortest is the shortest duration that makes sense anywhere. A number without a unit means nanoseconds, and is shorter.
const shortest = time.Microsecond

// inRange reports durations that are too short.
func inRange(all ...duration) error {
	var errs []error
	for _, d := range all {
		switch {
		case d.is > 0 && d.is < shortest:
			errs = append(errs, fmt.Errorf("%s: %s is not allowed, a duration needs a unit: write %ds if you mean seconds", d.key, d.is, d.is.Nanoseconds()))
		case d.is < d.min:
			errs = append(errs, fmt.Errorf("%s: %s is not allowed, it must be %s or more", d.key, d.is, d.min))
		}
	}
	return errors.Join(errs...)
}

// Unmarshal reads a configuration. What the scraper controller has against its keys is reported here: later it would be reported under the
// name of a type of this program.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	if err := conf.Unmarshal(c); err != nil {
		return err
	}
	return c.ControllerConfig.Validate()
}

// Unmarshal reads a configuration. What is wrong with attributes is reported here for the same reason.
func (c *MetricsConfig) Unmarshal(conf *confmap.Conf) error {
	if err := conf.Unmarshal(c); err != nil {
		return err
	}
	return confmap.Validate(&c.MetricsConfig)
}

// Unmarshal reads a target, and remembers which key has no value.
func (c *TargetConfig) Unmarshal(conf *confmap.Conf) error {
	if c.empty = emptyKey(conf); c.empty != "" {
		return nil
	}
	return conf.Unmarshal(c)
}

// emptyKey returns a key that has no value, or "".
func emptyKey(conf *confmap.Conf) string {
	for key, value := range conf.ToStringMap() {
		if value == nil || value == "" {
			return key
		}
	}
	return ""
}

func errEmpty(key string) error {
	return fmt.Errorf("%s: it is empty; if that is ${env:NAME}, the variable is not set", key)
}

// containerIDs are the ids of containers, or the beginnings of ids, with the digits that runtimes show of one or more: hexadecimal, or those of
// Amazon ECS, which end with a number.
var containerIDs = regexp.MustCompile(`^([0-9a-f]{12,64}|[0-9a-f]{32}-[0-9]*)$`)

// Validate reports a target that names nothing, or two things.
func (c *TargetConfig) Validate() error {
	given := 0
	for _, is := range []bool{c.PID != 0, c.Executable != "", c.CommandLine != "", c.ContainerID != "", c.Cgroup != "", c.Kubernetes != nil, c.All} {
		if is {
			given++
		}
	}
	switch {
	case c.empty != "":
		return errEmpty(c.empty)
	case given == 0:
		return errors.New("one of pid, executable, command_line, container_id, cgroup, kubernetes and all is needed")
	case given > 1:
		return errors.New("pid, executable, command_line, container_id, cgroup, kubernetes and all exclude each other; make several targets of them")
	case c.PID < 0:
		return fmt.Errorf("pid: %d is not allowed, it must be above 0", c.PID)
	case c.ContainerID != "" && !containerIDs.MatchString(c.ContainerID):
		return fmt.Errorf("container_id: %q is not allowed, it must be 12 or more of the digits 0 to 9 and a to f with which the id begins, and no more than that", c.ContainerID)
	}
	if _, err := regexp.Compile(c.CommandLine); err != nil {
		return fmt.Errorf("command_line: %w", err)
	}
	return errors.Join(validGlob("executable", c.Executable), validGlob("cgroup", c.Cgroup))
}

// validGlob reports a glob that cannot match a path, or does not mean what it looks like.
func validGlob(key, glob string) error {
	if glob == "" {
		return nil
	}
	if _, err := filepath.Match(glob, "/"); err != nil {
		return fmt.Errorf("%s: %q: %w", key, glob, err)
	}
	if !strings.HasPrefix(glob, "/") {
		return fmt.Errorf("%s: %q never matches: it must begin with /, as in %q, and * stands for no /", key, glob, "/*/*/"+path.Base(glob))
	}
	if strings.Contains(glob, "**") {
		return fmt.Errorf("%s: %q is not allowed: ** is the same as *, which stands for no /; name each depth as a target of its own", key, glob)
	}
	return nil
}

func (c *TargetConfig) selector() processes.Selector {
	m := processes.Selector{PID: c.PID, Executable: c.Executable, ContainerID: c.ContainerID, Cgroup: c.Cgroup, Pod: c.Kubernetes.selector(), All: c.All}
	if c.CommandLine != "" {
		m.CommandLine = regexp.MustCompile(c.CommandLine)
	}
	return m
}

func (c *Config) selection() processes.Selection {
	s := processes.Selection{Self: c.Self}
	for i := range c.Targets {
		s.Targets = append(s.Targets, c.Targets[i].selector())
	}
	for i := range c.Exclude {
		s.Exclude = append(s.Exclude, c.Exclude[i].selector())
	}
	return s
}

// looksAtEach tells whether a metric needs each goroutine to be looked at.
func (c *Config) looksAtEach() bool {
	return c.Metrics.GoGoroutineBlocked.Enabled ||
		slices.Contains(c.Metrics.GoGoroutineCount.EnabledAttributes, metadata.GoGoroutineCountMetricAttributeKeyGoGoroutineWaitReason)
}

// functions says which metrics count goroutines by the function that they were started for.
func (c *Config) functions() telemetry.Functions {
	return telemetry.Functions{
		Created: slices.Contains(c.Metrics.GoGoroutineCreated.EnabledAttributes, metadata.GoGoroutineCreatedMetricAttributeKeyCodeFunctionName),
		Exited:  slices.Contains(c.Metrics.GoGoroutineExited.EnabledAttributes, metadata.GoGoroutineExitedMetricAttributeKeyCodeFunctionName),
		Top:     c.StartFunctions.Top,
	}
}

// withEstimatesApart returns the configuration with the attribute that tells estimates from what was seen, whatever attributes are asked for:
// without it, the builder would add both up.
func withEstimatesApart(c metadata.MetricsConfig) metadata.MetricsConfig {
	c.GoGoroutineCreated.EnabledAttributes = with(c.GoGoroutineCreated.EnabledAttributes, metadata.GoGoroutineCreatedMetricAttributeKeyGoGoroutineEstimated)
	c.GoGoroutineExited.EnabledAttributes = with(c.GoGoroutineExited.EnabledAttributes, metadata.GoGoroutineExitedMetricAttributeKeyGoGoroutineEstimated)
	c.GoGoroutineRunTime.EnabledAttributes = with(c.GoGoroutineRunTime.EnabledAttributes, metadata.GoGoroutineRunTimeMetricAttributeKeyGoGoroutineEstimated)
	c.GoGoroutineSystemTime.EnabledAttributes = with(c.GoGoroutineSystemTime.EnabledAttributes, metadata.GoGoroutineSystemTimeMetricAttributeKeyGoGoroutineEstimated)
	c.GoGoroutineWaitTime.EnabledAttributes = with(c.GoGoroutineWaitTime.EnabledAttributes, metadata.GoGoroutineWaitTimeMetricAttributeKeyGoGoroutineSampled)
	c.GoGoroutineTime.EnabledAttributes = with(c.GoGoroutineTime.EnabledAttributes, metadata.GoGoroutineTimeMetricAttributeKeyGoGoroutineEstimated)
	return c
}

func with[T comparable](all []T, one T) []T {
	if slices.Contains(all, one) {
		return all
	}
	return append(slices.Clone(all), one)
}

// Validate reports shares that are out of range.
func (c *OverheadConfig) Validate() error {
	var errs []error
	for _, share := range []struct {
		key string
		is  float64
	}{{"budget", c.Budget}, {"floor", c.Floor}, {"host", c.Host}, {"collector", c.Collector}} {
		if !(share.is >= 0 && share.is <= 1) { // NaN is neither
			errs = append(errs, fmt.Errorf("%s: %v is not allowed, it must be from 0 to 1", share.key, share.is))
		}
	}
	return errors.Join(errs...)
}

// Validate reports what is not allowed.
func (c *TrampolineConfig) Validate() error {
	if c.ARM64 != "" && c.ARM64 != experimental {
		return fmt.Errorf("arm64: %q is not allowed, it must be %s or empty", c.ARM64, experimental)
	}
	return nil
}

// Validate reports a number of start functions that is out of range.
func (c *StartFunctionsConfig) Validate() error {
	if c.Top < 0 {
		return fmt.Errorf("top: %d is not allowed, it must be 0 or more", c.Top)
	}
	return nil
}

// Validate reports a number of lines that is out of range.
func (c *WaitLinesConfig) Validate() error {
	if c.Top < 0 {
		return fmt.Errorf("top: %d is not allowed, it must be 0 or more", c.Top)
	}
	return nil
}

// Validate reports settings of blocked goroutines that are out of range.
func (c *BlockedConfig) Validate() error {
	err := inRange(duration{"threshold", c.Threshold, time.Second})
	if c.Top < 0 {
		err = errors.Join(err, fmt.Errorf("top: %d is not allowed, it must be 0 or more", c.Top))
	}
	return err
}

// Validate reports settings of traces that are out of range.
func (c *TracesConfig) Validate() error {
	var errs []error
	if !(c.SamplingRatio >= 0 && c.SamplingRatio <= 1) {
		errs = append(errs, fmt.Errorf("sampling_ratio: %v is not allowed, it must be from 0 to 1", c.SamplingRatio))
	}
	switch c.States {
	case telemetry.StateSpans, telemetry.StateEvents, telemetry.StateNone:
	default:
		errs = append(errs, fmt.Errorf("states: %q is not allowed, it must be spans, events or none", c.States))
	}
	if c.Noise != telemetry.NoiseFold && c.Noise != telemetry.NoiseKeep {
		errs = append(errs, fmt.Errorf("noise: %q is not allowed, it must be fold or keep", c.Noise))
	}
	if !slices.Contains([]Stacks{stacksOff, stacksLeaf, stacksFull}, c.Stacks) {
		errs = append(errs, fmt.Errorf("stacks: %q is not allowed, it must be off, leaf or full", c.Stacks))
	}
	for _, n := range []struct {
		key string
		is  int
	}{
		{"max_spans_per_second", c.MaxSpansPerSecond},
		{"max_spans_per_trace", c.MaxSpansPerTrace},
		{"max_states", c.MaxStates},
	} {
		if n.is < 0 {
			errs = append(errs, fmt.Errorf("%s: %d is not allowed, it must be 0 or more", n.key, n.is))
		}
	}
	return errors.Join(append(errs, inRange(
		duration{"min_state_duration", c.MinStateDuration, 0},
		duration{"outlives", c.Outlives, time.Millisecond},
		duration{"segment_duration", c.SegmentDuration, time.Second},
	))...)
}
