//go:build linux

package uprobe

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/bpf"
)

// TestSettledCounts takes of each CPU what it told when it was not changing it.
func TestSettledCounts(t *testing.T) {
	of := func(ends, created, begins uint64) bpf.TracerCounters {
		return bpf.TracerCounters{Ends: ends, Created: created, Begins: begins}
	}
	for name, test := range map[string]struct {
		strict bool
		reads  [][]bpf.TracerCounters
		want   []bpf.TracerCounters // nil: not enough was read
	}{
		"both at rest":  {false, [][]bpf.TracerCounters{{of(1, 1, 1), of(2, 2, 2)}}, []bpf.TracerCounters{of(1, 1, 1), of(2, 2, 2)}},
		"one changing":  {false, [][]bpf.TracerCounters{{of(1, 1, 1), of(2, 3, 3)}}, nil},
		"one after one": {false, [][]bpf.TracerCounters{{of(1, 1, 1), of(2, 3, 3)}, {of(1, 2, 2), of(3, 3, 3)}}, []bpf.TracerCounters{of(1, 1, 1), of(3, 3, 3)}},
		"read once":     {true, [][]bpf.TracerCounters{{of(1, 1, 1)}}, nil},
		"read twice":    {true, [][]bpf.TracerCounters{{of(1, 1, 1)}, {of(1, 1, 1)}}, []bpf.TracerCounters{of(1, 1, 1)}},
		"read in disorder": {
			true,
			[][]bpf.TracerCounters{{of(1, 0, 1)}, {of(1, 1, 1)}, {of(2, 2, 2)}, {of(2, 2, 2)}},
			[]bpf.TracerCounters{of(2, 2, 2)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := settledCounts{strict: test.strict}
			settled := false
			for _, read := range test.reads {
				settled = s.update(read)
			}
			require.Equal(t, test.want != nil, settled)
			if settled {
				require.Equal(t, test.want, s.perCPU)
			}
		})
	}
}

// TestCountsDoNotGoBack cannot read the counts any more.
func TestCountsDoNotGoBack(t *testing.T) {
	e := newEngine(t, 4096)
	p := &Process{engine: e, slot: maxProcesses}
	p.last.Created = 5
	counts, err := p.Counts()
	require.Error(t, err)
	require.EqualValues(t, 5, counts.Created)
}
