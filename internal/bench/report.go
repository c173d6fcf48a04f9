//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report prints a table of Markdown: medians over the rounds.
func report(w io.Writer, kind string, names []string, results map[string][]result) {
	fmt.Fprintf(w, "\n### %s\n\n", kind)
	t := newTable(w, "followed by", "done", "CPU an operation", "by bare's", "cost by the floor's", "added CPU a change", "its CPU", "its RSS", "kernel memory", "lost")
	for _, name := range names {
		rs := results[name]
		if len(rs) == 0 {
			t.row(name, "not measured", "", "", "", "", "", "")
			continue
		}
		t.row(
			name,
			fmt.Sprintf("%.3f", ratioOf(rs, results[nothing], rate)),
			time.Duration(median(rs, perOp)*1e9).String(),
			fmt.Sprintf("%.3f", ratioOf(rs, results[nothing], perOp)),
			costByFloor(rs, results[nothing], results[floor]),
			addedToChange(rs, results[nothing], results),
			fmt.Sprintf("%.0f %%", 100*median(rs, func(r result) float64 { return r.used.cpu.Seconds() / r.seconds })),
			mebibytes(median(rs, func(r result) float64 { return float64(r.used.rss) })),
			mebibytes(median(rs, func(r result) float64 { return float64(r.used.kernel) })),
			fmt.Sprintf("%.0f", median(rs, func(r result) float64 { return float64(r.used.lost) })),
		)
	}
	t.flush()
}

// reportServers prints tables of servers, of each load one.
func reportServers(w io.Writer, names []string, all map[string]serverResults) {
	steady := func(r serverResult) result { return r.steady }
	full := func(r serverResult) result { return r.full }
	reportLoad(w, fmt.Sprintf("%d requests a second", steadyRate), names, all, steady)
	reportLoad(w, "as many requests as are answered", names, all, full)
	fmt.Fprintf(w, "\n### What was seen\n\n")
	t := newTable(w, "server", "followed by", "engine at the end", "time at level full", "of traces seen, with the move", "spans a request", "traces a request", "episodes of the largest trace", "changes a request", "added CPU a change")
	for _, name := range names {
		for _, c := range serverCases[1:] {
			rs := all[name][c.name]
			number := func(of func(*told) float64) string {
				return fmt.Sprintf("%.3g", medianOf(rs, func(r serverResult) float64 { return of(r.told) }))
			}
			if len(rs) == 0 {
				continue
			}
			t.row(name, c.name, rs[len(rs)-1].told.engine, number(func(o *told) float64 { return o.atFull }), number(func(o *told) float64 { return o.traced }),
				number(func(o *told) float64 { return o.spans }), number(func(o *told) float64 { return o.traces }), number(func(o *told) float64 { return float64(o.largest) }),
				fmt.Sprintf("%.0f", medianOf(rs, func(r serverResult) float64 { return r.changes })), addedByServer(rs, all[name][nothing]))
		}
	}
	t.flush()
	fmt.Fprintln(w)
	for _, name := range names {
		for _, c := range serverCases[1:] {
			for _, r := range all[name][c.name] {
				for _, change := range r.told.changes {
					fmt.Fprintf(w, "- %s, %s: %s\n", name, c.name, change)
				}
			}
		}
	}
}

// reportTraces prints a table of what traces are like.
func reportTraces(w io.Writer, settings string, all []*traced) {
	fmt.Fprintf(w, "\n### Traces at %d requests a second, %s\n\n", lowRate, settings)
	t := newTable(w, "server", "requests", "with one trace", "further traces of unknown cause", "spans in the median", "waker links", "to a span with a state then", "place of the longest request by duration", "among pieces of work")
	var roots []string
	for _, of := range all {
		q := of.quality()
		place := fmt.Sprintf("%d of %d", q.place, q.traces)
		if q.before != "" {
			place += ", the first is " + q.before
		}
		t.row(of.server, fmt.Sprint(len(of.requests)), fmt.Sprintf("%.1f %%", 100*q.single), fmt.Sprintf("%.2f a request", q.others), fmt.Sprint(q.spans), fmt.Sprint(q.links),
			fmt.Sprintf("%.1f %%", 100*float64(q.good)/float64(max(q.links, 1))), place, fmt.Sprint(q.amongWork))
		roots = append(roots, fmt.Sprintf("- %s: %s", of.server, q.roots))
	}
	t.flush()
	fmt.Fprintf(w, "\nRoots of most traces:\n\n%s\n", strings.Join(roots, "\n"))
}

// addedByServer is what a change of state costs a server that answers as many requests as it can.
func addedByServer(rs, bare []serverResult) string {
	var added []float64
	for i := range min(len(rs), len(bare)) {
		if rs[i].changes > 0 {
			added = append(added, (perOp(rs[i].full)-perOp(bare[i].full))/rs[i].changes)
		}
	}
	return inNanoseconds(added)
}

func inNanoseconds(seconds []float64) string {
	if len(seconds) == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f ns", 1e9*medianOf(seconds, func(s float64) float64 { return s }))
}

func reportLoad(w io.Writer, title string, names []string, all map[string]serverResults, of func(serverResult) result) {
	fmt.Fprintf(w, "\n### Servers with %s\n\n", title)
	t := newTable(w, "server", "followed by", "requests/s", "CPU a request", "by bare's", "lost", "collector's CPU", "MB a minute")
	for _, name := range names {
		for _, c := range serverCases {
			rs := resultsOf(all[name][c.name], of)
			if len(rs) == 0 {
				t.row(name, c.name, "not measured")
				continue
			}
			bare := resultsOf(all[name][nothing], of)
			t.row(name, c.name,
				fmt.Sprintf("%.0f", median(rs, rate)),
				time.Duration(median(rs, perOp)*1e9).Round(100*time.Nanosecond).String(),
				fmt.Sprintf("%.3f", ratioOf(rs, bare, perOp)),
				fmt.Sprintf("%.0f", sumOf(rs, func(r result) float64 { return float64(r.used.lost) })),
				fmt.Sprintf("%.1f %%", 100*median(rs, func(r result) float64 { return r.used.cpu.Seconds() / r.seconds })),
				fmt.Sprintf("%.1f", median(rs, func(r result) float64 { return float64(r.bytes) / 1e6 / r.seconds * 60 })))
		}
	}
	t.flush()
}

func resultsOf(rs []serverResult, of func(serverResult) result) (all []result) {
	for _, r := range rs {
		all = append(all, of(r))
	}
	return all
}

func sumOf[R any](rs []R, of func(R) float64) (sum float64) {
	for _, r := range rs {
		sum += of(r)
	}
	return sum
}

// table is one of Markdown.
type table struct{ *tabwriter.Writer }

func newTable(w io.Writer, columns ...string) table {
	t := table{tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)}
	t.row(columns...)
	t.row(slices.Repeat([]string{"---"}, len(columns))...)
	return t
}

func (t table) row(cells ...string) { fmt.Fprintf(t, "| %s\t|\n", strings.Join(cells, "\t| ")) }

func (t table) flush() { _ = t.Flush() }

// ratioOf is the median of the ratios to what was found in the same round with nothing attached; 0 if that was not measured.
func ratioOf(rs, bare []result, of func(result) float64) float64 {
	var ratios []float64
	for i := range min(len(rs), len(bare)) {
		ratios = append(ratios, of(rs[i])/of(bare[i]))
	}
	return medianOf(ratios, func(r float64) float64 { return r })
}

func rate(r result) float64 { return r.ops / r.seconds }

// perOp is the processor time of an operation, in seconds.
func perOp(r result) float64 { return r.cpu / r.ops }

// costByFloor is what following adds to an operation, by what a probe that does nothing adds to it, in the same round.
func costByFloor(rs, bare, least []result) string {
	var ratios []float64
	for i := range min(len(rs), len(bare), len(least)) {
		if floor := perOp(least[i]) - perOp(bare[i]); floor > 0 {
			ratios = append(ratios, (perOp(rs[i])-perOp(bare[i]))/floor)
		}
	}
	if len(ratios) == 0 {
		return "–"
	}
	slices.Sort(ratios)
	return fmt.Sprintf("%.2f", ratios[len(ratios)/2])
}

// addedToChange is what a change of state costs, of which there are as many for an operation as the collector has seen in the cases that see all.
func addedToChange(rs, bare []result, all map[string][]result) string {
	var seen []result
	for _, of := range all {
		seen = append(seen, of...)
	}
	seen = slices.DeleteFunc(seen, func(r result) bool { return r.changes == 0 })
	changes := median(seen, func(r result) float64 { return r.changes })
	if changes == 0 {
		return "–"
	}
	var added []float64
	for i := range min(len(rs), len(bare)) {
		added = append(added, (perOp(rs[i])-perOp(bare[i]))/changes)
	}
	return inNanoseconds(added)
}

func median(rs []result, of func(result) float64) float64 { return medianOf(rs, of) }

// medianOf is 0 of nothing.
func medianOf[R any](rs []R, of func(R) float64) float64 {
	if len(rs) == 0 {
		return 0
	}
	var values []float64
	for _, r := range rs {
		values = append(values, of(r))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

func mebibytes(n float64) string {
	if n == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f MiB", n/(1<<20))
}
