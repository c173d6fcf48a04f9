//go:build linux

package trampoline

import (
	"encoding/binary"
	"slices"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// labelReader reads the profiler labels of goroutines from a process's memory.
type labelReader struct {
	memory       memory
	names        engine.LabelNames
	asMap        bool   // labels are a map, and not a list
	labels, goid uint64 // offsets in g
	look         *labelLook
}

// labelLook is one look at the labels of a goroutine, of which the memory is used again.
type labelLook struct {
	read    reader
	current bool // a goroutine still has these labels
	pairs   [maxLabels * pairSize]byte
	text    [maxLabelText]byte
	found   []engine.Label
}

// Bounds of what is read of labels: as many and as long as the kernel's engine reads.
const (
	maxLabels    = 8
	maxKey       = 32
	maxValue     = 64
	maxLabelText = maxLabels * (maxKey + maxValue)
	pairSize     = 32 // two strings, each a pointer and a length (runtime/string.go, stringStruct)
)

// holder is a goroutine that had labels, with its id, 0 if it is not known.
type holder struct{ g, goid uint64 }

// labelsFound tells what became of a look at labels.
type labelsFound uint8

const (
	// labelsGone is if none of the goroutines that had them has them any more: what was read may be anything.
	labelsGone labelsFound = iota
	labelsRead
	// noAnswer is if the memory could not be read in time.
	noAnswer
)

// context returns the span that labels name, the zero SpanContext if they name none. They are read after goroutines had them, and are what they were
// then if one of these has them still.
func (l *labelReader) context(labels uint64, holders ...holder) (lifecycle.SpanContext, labelsFound) {
	if l.look == nil {
		l.look = &labelLook{}
	}
	look := l.look
	if !l.memory.look(func(read reader) { l.fill(look, read, labels, holders) }) {
		l.look = nil
		return lifecycle.SpanContext{}, noAnswer
	}
	if !look.current {
		return lifecycle.SpanContext{}, labelsGone
	}
	context, ok := l.names.Context(look.found)
	if !ok {
		context = lifecycle.SpanContext{}
	}
	return context, labelsRead
}

// fill reads the labels, and then whether a goroutine still has them.
func (l *labelReader) fill(look *labelLook, read reader, labels uint64, holders []holder) {
	look.read, look.found = read, look.found[:0]
	if l.asMap {
		look.readMap(labels)
	} else {
		look.readList(labels)
	}
	look.current = slices.ContainsFunc(holders, func(h holder) bool {
		return h.g != 0 && look.word(h.g+l.labels) == labels && (h.goid == 0 || look.word(h.g+l.goid) == h.goid)
	})
}

// word returns a word of the memory, 0 if it cannot be read.
func (l *labelLook) word(address uint64) uint64 {
	var word [8]byte
	if !l.read(word[:], address) {
		return 0
	}
	return binary.NativeEndian.Uint64(word[:])
}

// readList reads labels as Go 1.24 and later have them: a slice of pairs (runtime/pprof/label.go, labelMap).
func (l *labelLook) readList(labels uint64) {
	var slice [16]byte
	if !l.read(slice[:], labels) {
		return
	}
	n := min(binary.NativeEndian.Uint64(slice[8:]), maxLabels)
	pairs := l.pairs[:n*pairSize]
	if n == 0 || !l.read(pairs, binary.NativeEndian.Uint64(slice[:])) {
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
func (l *labelLook) readMap(labels uint64) {
	var word [8]byte
	var header [mapHeader]byte
	if !l.read(word[:], labels) || !l.read(header[:], binary.NativeEndian.Uint64(word[:])) || header[mapLogBuckets] != 0 {
		return
	}
	var bucket [bucketKeys + maxLabels*pairSize]byte
	if !l.read(bucket[:], binary.NativeEndian.Uint64(header[mapBuckets:])) {
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
func (l *labelLook) add(i int, key, value []byte) {
	text := l.text[i*(maxKey+maxValue):][: maxKey+maxValue : maxKey+maxValue]
	k, ok := l.readString(text[:maxKey], key)
	if !ok {
		return
	}
	if v, ok := l.readString(text[maxKey:], value); ok {
		l.found = append(l.found, engine.Label{Key: k, Value: v})
	}
}

func (l *labelLook) readString(to, header []byte) ([]byte, bool) {
	n := binary.NativeEndian.Uint64(header[8:])
	if n > uint64(len(to)) {
		return nil, false
	}
	return to[:n], n == 0 || l.read(to[:n], binary.NativeEndian.Uint64(header))
}
