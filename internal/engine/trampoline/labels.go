//go:build linux

package trampoline

import (
	"encoding/binary"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// labelReader reads the profiler labels of goroutines from a process's memory.
type labelReader struct {
	memory memory
	names  engine.LabelNames
	asMap  bool   // labels are a map, and not a list
	labels uint64 // the offset of g.labels

	pairs [maxLabels * pairSize]byte
	text  [maxLabelText]byte
	found []engine.Label
}

// Bounds of what is read of labels: as many and as long as the kernel's engine reads.
const (
	maxLabels    = 8
	maxKey       = 32
	maxValue     = 64
	maxLabelText = maxLabels * (maxKey + maxValue)
	pairSize     = 32 // two strings, each a pointer and a length (runtime/string.go, stringStruct)
)

// context returns the span that a goroutine's labels name, the zero SpanContext if they name none. They are read after the goroutine had them: it
// reports false if it has others by now, and what was read may be anything.
func (l *labelReader) context(g, goid, labels uint64, newborn bool) (lifecycle.SpanContext, bool) {
	l.found = l.found[:0]
	if l.asMap {
		l.readMap(labels)
	} else {
		l.readList(labels)
	}
	var now [8]byte
	if !l.memory.read(now[:], g+l.labels) || binary.NativeEndian.Uint64(now[:]) != labels {
		return lifecycle.SpanContext{}, false
	}
	if !newborn && l.memory.goid(g) != goid {
		return lifecycle.SpanContext{}, false
	}
	context, ok := l.names.Context(l.found)
	if !ok {
		return lifecycle.SpanContext{}, true
	}
	return context, true
}

// readList reads labels as Go 1.24 and later have them: a slice of pairs (runtime/pprof/label.go, labelMap).
func (l *labelReader) readList(labels uint64) {
	var slice [16]byte
	if !l.memory.read(slice[:], labels) {
		return
	}
	n := min(binary.NativeEndian.Uint64(slice[8:]), maxLabels)
	pairs := l.pairs[:n*pairSize]
	if n == 0 || !l.memory.read(pairs, binary.NativeEndian.Uint64(slice[:])) {
		return
	}
	for i := range int(n) {
		l.add(i, pairs[i*pairSize:][:pairSize/2], pairs[i*pairSize+pairSize/2:][:pairSize/2])
	}
}

// The beginning of a map's header, and a bucket of a map[string]string before Go 1.24 (runtime/map.go, hmap and bmap): eight top hashes, of which one
// below minTopHash is an empty place's, eight keys, eight values.
const (
	mapHeader     = 24
	mapLogBuckets = 9
	mapBuckets    = 16
	minTopHash    = 5
	bucketKeys    = 8
)

// readMap reads labels as they were before: a map[string]string. One that has more than a bucket is not read.
func (l *labelReader) readMap(labels uint64) {
	var word [8]byte
	var header [mapHeader]byte
	if !l.memory.read(word[:], labels) || !l.memory.read(header[:], binary.NativeEndian.Uint64(word[:])) || header[mapLogBuckets] != 0 {
		return
	}
	var bucket [bucketKeys + maxLabels*pairSize]byte
	if !l.memory.read(bucket[:], binary.NativeEndian.Uint64(header[mapBuckets:])) {
		return
	}
	keys, values := bucket[bucketKeys:][:maxLabels*pairSize/2], bucket[bucketKeys+maxLabels*pairSize/2:]
	for i, hash := range bucket[:bucketKeys] {
		if hash >= minTopHash {
			l.add(i, keys[i*pairSize/2:][:pairSize/2], values[i*pairSize/2:][:pairSize/2])
		}
	}
}

// add reads one label's strings. One that is too long is left out.
func (l *labelReader) add(i int, key, value []byte) {
	text := l.text[i*(maxKey+maxValue):][: maxKey+maxValue : maxKey+maxValue]
	k, ok := l.readString(text[:maxKey], key)
	if !ok {
		return
	}
	if v, ok := l.readString(text[maxKey:], value); ok {
		l.found = append(l.found, engine.Label{Key: k, Value: v})
	}
}

func (l *labelReader) readString(to, header []byte) ([]byte, bool) {
	n := binary.NativeEndian.Uint64(header[8:])
	if n > uint64(len(to)) {
		return nil, false
	}
	return to[:n], n == 0 || l.memory.read(to[:n], binary.NativeEndian.Uint64(header))
}
