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
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', 0)
	row := func(cells ...string) { fmt.Fprintf(t, "| %s\t|\n", strings.Join(cells, "\t| ")) }
	row("followed by", "done", "CPU an operation", "cost by the floor's", "its CPU", "its RSS", "kernel memory", "lost")
	row("---", "---", "---", "---", "---", "---", "---", "---")
	for _, name := range names {
		rs := results[name]
		if len(rs) == 0 {
			row(name, "not measured", "", "", "", "", "", "")
			continue
		}
		row(
			name,
			fmt.Sprintf("%.3f", share(rs, results[nothing])),
			time.Duration(median(rs, perOp)*1e9).String(),
			costByFloor(rs, results[nothing], results[floor]),
			fmt.Sprintf("%.0f %%", 100*median(rs, func(r result) float64 { return r.used.cpu.Seconds() / r.seconds })),
			mebibytes(median(rs, func(r result) float64 { return float64(r.used.rss) })),
			mebibytes(median(rs, func(r result) float64 { return float64(r.used.kernel) })),
			fmt.Sprintf("%.0f", median(rs, func(r result) float64 { return float64(r.used.lost) })),
		)
	}
	t.Flush()
}

// share is how much was done, of what was done in the same round with nothing attached; 0 if that was not measured.
func share(rs, bare []result) float64 {
	var shares []float64
	for i := range min(len(rs), len(bare)) {
		shares = append(shares, rate(rs[i])/rate(bare[i]))
	}
	if len(shares) == 0 {
		return 0
	}
	slices.Sort(shares)
	return shares[len(shares)/2]
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

func median(rs []result, of func(result) float64) float64 {
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
