package lifecycle

import "testing"

func TestTotals(t *testing.T) {
	key := HistogramKey{Kind: Wait, Reason: 3}
	one := Totals{
		Histograms: map[HistogramKey]*Histogram{key: {Buckets: map[int]uint64{1: 1, 5: 3}, Count: 4, Sum: 100}},
		Functions:  map[uint64]Lives{7: {Created: 3, Exited: 1}},
	}
	one.Counts.Created, one.Counts.Exited, one.Counts.Transitions = 3, 1, 50
	one.Counts.Time[Running], one.Counts.Live[Running] = 10, 2

	var sum Totals
	sum.Add(one)
	sum.Add(one)
	if h := sum.Histograms[key]; h.Count != 8 || h.Sum != 200 || h.Buckets[5] != 6 {
		t.Errorf("the sum of histograms is %+v", h)
	}
	if one.Histograms[key].Count != 4 {
		t.Error("what was added has changed")
	}
	if l := sum.Functions[7]; l != (Lives{Created: 6, Exited: 2}) {
		t.Errorf("the sum of lives is %+v", l)
	}
	if n := sum.Counts; n.Created != 6 || n.Transitions != 100 || n.Time[Running] != 20 || n.Live[Running] != 2 {
		t.Errorf("the sum of counts is %+v", n)
	}
}
