package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"text/tabwriter"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
)

var states = []string{"running", "runnable", "syscall", "waiting"}

// rows is how many start functions, waits and creation sites are shown.
const rows = 8

// summarize prints what the collector exported.
func summarize(w io.Writer, b *e2etest.Backend, requests int64) {
	fmt.Fprintf(w, "%d requests answered. What the collector exported over OTLP:\n\n", requests)
	out := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	count, spent := byState(b.Metric("go.goroutine.count")), byState(b.Metric("go.goroutine.time"))
	fmt.Fprint(out, "GOROUTINES\trunning\trunnable\tsyscall\twaiting\n")
	fmt.Fprint(out, "alive now")
	for _, state := range states {
		fmt.Fprintf(out, "\t%.0f", count[state])
	}
	fmt.Fprint(out, "\ntime in state")
	for _, state := range states {
		fmt.Fprintf(out, "\t%s", short(spent[state]))
	}
	fmt.Fprintf(out, "\n%d created, %d exited\n\n", b.Sum("go.goroutine.created"), b.Sum("go.goroutine.exited"))

	fmt.Fprint(out, "HOW LONG\ttimes\tp50\tp99\n")
	for _, h := range histograms(b, "go.schedule.duration", "ready, but not yet run") {
		row(out, h)
	}
	for _, h := range histograms(b, "go.goroutine.lifetime", "lifetime") {
		row(out, h)
	}
	waits := histograms(b, "go.goroutine.wait.duration", "")
	for _, h := range waits[:min(rows, len(waits))] {
		row(out, h)
	}
	lives := livesOf(b)
	startFunctions(out, lives)
	alive(out, lives)
	out.Flush()
}

func byState(metrics []pmetric.Metric) map[string]float64 {
	sums := map[string]float64{}
	for _, m := range metrics {
		for _, p := range m.Sum().DataPoints().All() {
			state, _ := p.Attributes().Get("go.goroutine.state")
			sums[state.Str()] += p.DoubleValue() + float64(p.IntValue())
		}
	}
	return sums
}

// distribution is one data point of an exponential histogram.
type distribution struct {
	name  string
	point pmetric.ExponentialHistogramDataPoint
}

func histograms(b *e2etest.Backend, metric, name string) []distribution {
	var all []distribution
	for _, m := range b.Metric(metric) {
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			d := distribution{name, p}
			if reason, ok := p.Attributes().Get("go.goroutine.wait.reason"); ok {
				d.name = "waiting: " + reason.Str()
			}
			all = append(all, d)
		}
	}
	slices.SortFunc(all, func(a, b distribution) int { return cmp.Compare(b.point.Count(), a.point.Count()) })
	return all
}

func row(out io.Writer, d distribution) {
	fmt.Fprintf(out, "%s\t%d\t%s\t%s\n", d.name, d.point.Count(), short(quantile(d.point, 0.5)), short(quantile(d.point, 0.99)))
}

// quantile returns the middle, on the logarithmic scale, of the bucket in which a quantile lies.
func quantile(p pmetric.ExponentialHistogramDataPoint, q float64) float64 {
	left := q * float64(p.Count())
	counts := p.Positive().BucketCounts()
	for i := range counts.Len() {
		left -= float64(counts.At(i))
		if left <= 0 {
			index := float64(p.Positive().Offset()) + float64(i)
			return math.Exp2((index + 0.5) / math.Exp2(float64(p.Scale())))
		}
	}
	return 0
}

// lives are the goroutines that began in one function, or were created on one line.
type lives struct {
	name  string
	count int
	time  map[string]float64
	alive map[string]int // by where they were created
}

// livesOf gathers the spans of goroutines by start function, the one that ran longest first.
func livesOf(b *e2etest.Backend) []*lives {
	all := map[string]*lives{}
	for _, s := range b.Spans() {
		a := s.Attributes()
		if _, ok := a.Get("go.goroutine.id"); !ok || e2etest.IsEpisode(s) { // a goroutine's own span has its pieces of work in its sums
			continue
		}
		function := e2etest.StartFunction(s)
		l := all[function]
		if l == nil {
			l = &lives{name: function, time: map[string]float64{}, alive: map[string]int{}}
			all[function] = l
		}
		l.count++
		for _, state := range states {
			l.time[state] += value(a, "go.goroutine."+state+".duration").Double()
		}
		if value(a, "go.goroutine.ending").Str() == "unfollowed" && !value(a, "go.goroutine.preexisting").Bool() {
			l.alive[fmt.Sprintf("%s, %s:%d", value(a, "go.goroutine.creator.function").Str(),
				value(a, "go.goroutine.creator.file").Str(), value(a, "go.goroutine.creator.line").Int())]++
		}
	}
	return slices.SortedFunc(maps.Values(all), func(a, b *lives) int { return cmp.Compare(b.time["running"], a.time["running"]) })
}

func value(a pcommon.Map, name string) pcommon.Value {
	if v, ok := a.Get(name); ok {
		return v
	}
	return pcommon.NewValueEmpty()
}

func startFunctions(out io.Writer, all []*lives) {
	fmt.Fprint(out, "\nBUSIEST START FUNCTIONS\tspans\trunning\trunnable\tsyscall\twaiting\n")
	for _, l := range all[:min(rows, len(all))] {
		fmt.Fprintf(out, "%s\t%d", l.name, l.count)
		for _, state := range states {
			fmt.Fprintf(out, "\t%s", short(l.time[state]))
		}
		fmt.Fprintln(out)
	}
}

// alive prints what was created under observation and had not exited at the end: leak suspects.
func alive(out io.Writer, all []*lives) {
	fmt.Fprint(out, "\nNEW AND STILL ALIVE\tgoroutines\tcreated by\n")
	for _, l := range all {
		for _, site := range slices.Sorted(maps.Keys(l.alive)) {
			fmt.Fprintf(out, "%s\t%d\t%s\n", l.name, l.alive[site], site)
		}
	}
}

// short prints seconds with three digits.
func short(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	for unit := time.Nanosecond; ; unit *= 10 {
		if d < 1000*unit {
			return d.Round(unit).String()
		}
	}
}
