// Program dashboards writes the Grafana dashboards beside it, service.json and fleet.json.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

func main() {
	for name, d := range map[string]*dashboard.DashboardBuilder{"service.json": service(), "fleet.json": fleet()} {
		if err := write(name, d); err != nil {
			fmt.Fprintln(os.Stderr, "dashboards:", err)
			os.Exit(1)
		}
	}
}

func write(name string, builder *dashboard.DashboardBuilder) error {
	d, err := builder.Build()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	data, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return os.WriteFile(name, append(data, '\n'), 0o644)
}

// graph is a panel with one query.
type graph struct {
	title, description, unit, legend, query string
}

func start(title, uid string) *dashboard.DashboardBuilder {
	return dashboard.NewDashboardBuilder(title).Uid(uid).Tags([]string{"goroutines", "opentelemetry"}).
		Refresh("30s").Time("now-1h", "now").Timezone(common.TimeZoneBrowser).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Prometheus").Type("prometheus"))
}

// choice is a variable with the values of a label.
func choice(name, query string) *dashboard.QueryVariableBuilder {
	return dashboard.NewQueryVariableBuilder(name).Datasource(source()).Query(dashboard.StringOrMap{String: cog.ToPtr(query)}).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged)
}

func source() common.DataSourceRef {
	return common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}
}

func add(d *dashboard.DashboardBuilder, row string, graphs ...graph) {
	d.WithRow(dashboard.NewRowBuilder(row))
	for _, g := range graphs {
		d.WithPanel(timeseries.NewPanelBuilder().Title(g.title).Description(g.description).Unit(g.unit).Min(0).
			Datasource(source()).Height(8).Span(12).
			WithTarget(prometheus.NewDataqueryBuilder().Datasource(source()).Expr(g.query).LegendFormat(g.legend)))
	}
}

// service shows one service: what its goroutines do, wait for and leak, and how much is seen of it.
func service() *dashboard.DashboardBuilder {
	d := start("Goroutines of a service", "goroutines-service").
		WithVariable(choice("job", "label_values(go_goroutine_count, job)")).
		WithVariable(choice("instance", `label_values(go_goroutine_count{job="$job"}, instance)`).Multi(true).IncludeAll(true).AllValue(".*"))
	const of = `job="$job", instance=~"$instance"`
	add(
		d, "What they do",
		graph{"Goroutines by state", "", "short", "{{go_goroutine_state}}", `sum by (go_goroutine_state) (go_goroutine_count{` + of + `})`},
		graph{"Created", "More than exit, for long: a leak.", "cps", "created", `sum(rate(go_goroutine_created_total{` + of + `}[$__rate_interval]))`},
		graph{"Exited", "", "cps", "exited", `sum(rate(go_goroutine_exited_total{` + of + `}[$__rate_interval]))`},
		graph{"Processors that goroutines take", "Running is what runs on a CPU; runnable wants to.", "short", "{{go_goroutine_state}}", `sum by (go_goroutine_state) (rate(go_goroutine_time_seconds_total{` + of + `, go_goroutine_state=~"running|runnable|syscall"}[$__rate_interval]))`},
		graph{"Processors taken, by function", "By the functions that goroutines were started for.", "short", "{{code_function_name}}", `topk(10, sum by (code_function_name) (rate(go_goroutine_run_time_seconds_total{` + of + `}[$__rate_interval])))`},
	)
	add(
		d, "What keeps them from a CPU",
		graph{"CPUs that its threads get", "Compare with running goroutines: what these have more, their threads wait for.", "short", "{{cpu_mode}}", `sum by (cpu_mode) (rate(process_cpu_time_seconds_total{` + of + `}[$__rate_interval]))`},
		graph{"Threads that wait for a CPU", "Ready to run, without one, on average: others have them, or a quota is used up.", "short", "threads", `sum(rate(process_cpu_runqueue_time_seconds_total{` + of + `}[$__rate_interval]))`},
		graph{"Throttled periods", "The share of a quota's periods in which it was used up.", "percentunit", "{{instance}}", `sum by (instance) (rate(process_cgroup_cpu_throttled_periods_total{` + of + `}[$__rate_interval])) / sum by (instance) (rate(process_cgroup_cpu_periods_total{` + of + `}[$__rate_interval]))`},
		graph{"Processors that the runtime's own goroutines take", "runtime.gcBgMarkWorker collects garbage.", "short", "{{code_function_name}}", `sum by (code_function_name) (rate(go_goroutine_system_time_seconds_total{` + of + `}[$__rate_interval]))`},
	)
	add(
		d, "What they wait for",
		graph{"Delay of scheduling, 99 %", "How long a goroutine is ready before it runs.", "s", "p99", `histogram_quantile(0.99, sum(rate(go_schedule_duration_seconds{` + of + `}[$__rate_interval])))`},
		graph{"Goroutines that wait, by reason", "How many wait at a time, on average.", "short", "{{go_goroutine_wait_reason}}", `sum by (go_goroutine_wait_reason) (histogram_sum(rate(go_goroutine_wait_duration_seconds{` + of + `}[$__rate_interval])))`},
		graph{
			"Goroutines that wait for a mutex, by line", "How many wait there at a time, on average. With uprobes: of sampled goroutines.", "short",
			"{{code_function_name}} {{code_file_path}}:{{code_line_number}}",
			`topk(10, sum by (code_function_name, code_file_path, code_line_number) (rate(go_goroutine_wait_time_seconds_total{` + of + `, go_goroutine_wait_reason=~"sync.*Mutex.*"}[$__rate_interval])))`,
		},
		graph{"System calls, 99 %", "", "s", "p99", `histogram_quantile(0.99, sum(rate(go_goroutine_syscall_duration_seconds{` + of + `}[$__rate_interval])))`},
		graph{"Lifetime, median", "", "s", "p50", `histogram_quantile(0.5, sum(rate(go_goroutine_lifetime_seconds{` + of + `}[$__rate_interval])))`},
	)
	add(
		d, "Suspects of leaks",
		graph{
			"Blocked goroutines, by the line that created them", "They have waited for longer than blocked.threshold.", "short",
			"{{go_goroutine_creator_function}} {{go_goroutine_creator_file}}:{{go_goroutine_creator_line}}: {{go_goroutine_wait_reason}}",
			`topk(10, sum by (go_goroutine_creator_function, go_goroutine_creator_file, go_goroutine_creator_line, go_goroutine_wait_reason) (go_goroutine_blocked{` + of + `}))`,
		},
		graph{"Growth in ten minutes", "", "short", "{{instance}}", `sum by (instance) (delta(go_goroutine_count{` + of + `}[10m]))`},
	)
	add(
		d, "What is seen, and at what cost",
		graph{"Coverage", "The share of the time, and of trees of goroutines, that was seen.", "percentunit", "{{go_goroutine_overhead_signal}}", `avg by (go_goroutine_overhead_signal) (go_goroutine_overhead_coverage_ratio{` + of + `})`},
		graph{"Cost", "The share of the program's CPU time that probes take.", "percentunit", "{{instance}}", `max by (instance) (go_goroutine_overhead_share_ratio{` + of + `})`},
	)
	return d
}

// fleet compares services, and shows how the collectors do. Names of a collector's own metrics have endings or not, as its telemetry is
// configured.
func fleet() *dashboard.DashboardBuilder {
	d := start("Goroutines of a fleet", "goroutines-fleet")
	add(
		d, "Services",
		graph{"Goroutines", "", "short", "{{job}}", `topk(20, sum by (job) (go_goroutine_count))`},
		graph{"Blocked goroutines", "", "short", "{{job}}", `topk(20, sum by (job) (go_goroutine_blocked))`},
		graph{"Delay of scheduling, 99 %", "", "s", "{{job}}", `topk(20, histogram_quantile(0.99, sum by (job) (rate(go_schedule_duration_seconds[$__rate_interval]))))`},
		graph{"Processors taken", "", "short", "{{job}}", `topk(20, sum by (job) (rate(go_goroutine_time_seconds_total{go_goroutine_state="running"}[$__rate_interval])))`},
		graph{"Processes by level", "How much may be seen of them: docs/overhead.md.", "short", "{{go_goroutine_overhead_level}}", `sum by (go_goroutine_overhead_level) (go_goroutine_overhead_status)`},
		graph{"Cost", "The share of the programs' CPU time that probes take.", "percentunit", "{{job}}", `topk(20, max by (job) (go_goroutine_overhead_share_ratio))`},
	)
	add(
		d, "Collectors",
		graph{"Processes followed", "", "short", "{{instance}}", `sum by (instance) (otelcol_receiver_goroutine_targets)`},
		graph{"Changes of state seen", "", "ops", "{{instance}}", `sum by (instance) (rate({__name__=~"otelcol_receiver_goroutine_transitions(_total)?"}[$__rate_interval]))`},
		graph{"Events lost", "", "ops", "{{instance}}", `sum by (instance) (rate({__name__=~"otelcol_receiver_goroutine_events_lost(_total)?"}[$__rate_interval]))`},
		graph{"CPUs that collectors take", "", "short", "{{instance}}", `sum by (instance) (rate({__name__=~"otelcol_process_cpu_seconds(_total)?"}[$__rate_interval]))`},
		graph{"Memory of collectors", "", "bytes", "{{instance}}", `sum by (instance) ({__name__=~"otelcol_process_memory_rss(_bytes)?"})`},
	)
	return d
}
