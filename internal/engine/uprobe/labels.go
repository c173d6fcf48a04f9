//go:build linux

package uprobe

import (
	"github.com/otelgoroutine/goroutinereceiver/bpf"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// contextOf returns the span that labels name; it reports false if they name none. Labels that were cut count for nothing.
func contextOf(l *bpf.TracerLabelling, n engine.LabelNames) (lifecycle.SpanContext, bool) {
	var all [len(l.Label)]engine.Label
	whole := all[:0]
	for i := range l.Label[:min(int(l.Count), len(l.Label))] {
		label := &l.Label[i]
		if int(label.KeyLength) <= len(label.Key) && int(label.ValueLength) <= len(label.Value) {
			whole = append(whole, engine.Label{Key: label.Key[:label.KeyLength], Value: label.Value[:label.ValueLength]})
		}
	}
	return n.Context(whole)
}
