package engine

import (
	"encoding/hex"
	"slices"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// Label is a profiler label.
type Label struct{ Key, Value []byte }

// Context returns the span that labels name; it reports false if they name none.
func (n LabelNames) Context(labels []Label) (lifecycle.SpanContext, bool) {
	var c lifecycle.SpanContext
	ok := decodeID(c.TraceID[:], find(labels, n.TraceID)) && decodeID(c.SpanID[:], find(labels, n.SpanID))
	return c, ok && c.TraceID != [16]byte{} && c.SpanID != [8]byte{}
}

// find returns the value of the first label that has one of the names, nil if there is none.
func find(labels []Label, names []string) []byte {
	for _, l := range labels {
		if slices.Contains(names, string(l.Key)) {
			return l.Value
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
