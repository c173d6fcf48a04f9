//go:build linux

package uprobe

import (
	"encoding/hex"
	"slices"

	"github.com/otelgoroutine/goroutinereceiver/bpf"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// contextOf returns the span that labels name; it reports false if they name none.
func contextOf(l *bpf.TracerLabelling, n engine.LabelNames) (lifecycle.SpanContext, bool) {
	var c lifecycle.SpanContext
	ok := decodeID(c.TraceID[:], find(l, n.TraceID)) && decodeID(c.SpanID[:], find(l, n.SpanID))
	return c, ok && c.TraceID != [16]byte{} && c.SpanID != [8]byte{}
}

// find returns the value of the first label that has one of the names, nil if there is none or it was cut.
func find(l *bpf.TracerLabelling, names []string) []byte {
	for i := range l.Label[:min(int(l.Count), len(l.Label))] {
		label := &l.Label[i]
		if int(label.KeyLength) > len(label.Key) || int(label.ValueLength) > len(label.Value) {
			continue
		}
		if slices.Contains(names, string(label.Key[:label.KeyLength])) {
			return label.Value[:label.ValueLength]
		}
	}
	return nil
}

func decodeID(to, digits []byte) bool {
	if len(digits) != hex.EncodedLen(len(to)) {
		return false
	}
	_, err := hex.Decode(to, digits)
	return err == nil
}
