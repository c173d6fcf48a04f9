//go:build linux

package trampoline

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// writtenMemory is one of which it is said what is where.
type writtenMemory struct {
	noMemory
	words  map[uint64]uint64
	text   map[uint64]string
	silent bool
	looks  int
}

func (w *writtenMemory) look(f func(reader)) bool {
	if w.looks++; w.silent {
		return false
	}
	f(func(to []byte, address uint64) bool {
		if text, ok := w.text[address]; ok {
			return copy(to, text) == len(to)
		}
		for at := uint64(0); at < uint64(len(to)); at += 8 {
			binary.NativeEndian.PutUint64(to[at:], w.words[address+at])
		}
		return true
	})
	return true
}

// labels writes labels that name a span to an address.
func (w *writtenMemory) labels(at uint64, trace, span string) {
	texts := []string{"t", trace, "s", span}
	w.words[at], w.words[at+8] = at+0x100, uint64(len(texts)/2)
	for i, text := range texts {
		place := at + 0x200 + 0x80*uint64(i)
		w.words[at+0x100+16*uint64(i)], w.words[at+0x108+16*uint64(i)] = place, uint64(len(text))
		w.text[place] = text
	}
}

const (
	labelsOffset, goidOffset = 0x10, 0x18
	oneTrace, otherTrace     = "11111111111111111111111111111111", "22222222222222222222222222222222"
	oneSpan                  = "1111111111111111"
)

// has writes the labels that a goroutine has.
func (w *writtenMemory) has(g, goid, labels uint64) {
	w.words[g+labelsOffset], w.words[g+goidOffset] = labels, goid
}

func newLabelled(t *testing.T) (*tested, *writtenMemory) {
	m := newTested(t, all)
	w := &writtenMemory{words: map[uint64]uint64{}, text: map[uint64]string{}}
	m.machine.labels = &labelling{known: map[uint64]*knownLabels{}, labelReader: labelReader{
		memory: w, names: engine.LabelNames{TraceID: []string{"t"}, SpanID: []string{"s"}}, labels: labelsOffset, goid: goidOffset,
	}}
	return m, w
}

func with(labels uint64, r ring.Record) ring.Record {
	r.HasLabels, r.Labels = labels != 0, labels
	return r
}

// traces returns the first bytes of the traces that goroutines are told to carry, by goid, the last told.
func traces(events []lifecycle.Event) map[uint64]byte {
	all := map[uint64]byte{}
	for _, e := range events {
		if e.Kind == lifecycle.Labelled {
			all[e.GoID] = e.Context.TraceID[0]
		}
	}
	return all
}

const (
	parentG, childG, labelsAt = 0x1000, 0x2000, 0x10000
	theParent, theChild       = 1, 2
)

// begin has a parent that runs with labels, as a change has told.
func beginLabelled(t *testing.T) (*tested, *writtenMemory) {
	m, w := newLabelled(t)
	w.labels(labelsAt, oneTrace, oneSpan)
	w.has(parentG, theParent, labelsAt)
	events := m.takeAll(
		created(parentG, theParent, 0, mainStart), changed(parentG, theParent, runnable, running),
		with(labelsAt, changed(parentG, theParent, running, waiting)), changed(parentG, theParent, waiting, runnable), changed(parentG, theParent, runnable, running),
	)
	require.Equal(t, map[uint64]byte{theParent: 0x11}, traces(events))
	return m, w
}

var shortLife = []ring.Record{
	with(labelsAt, created(childG, theChild, parentG, mainStart)), changed(childG, theChild, runnable, running), with(labelsAt, changed(childG, theChild, running, dead)),
}

// TestInheritedLabels tells the labels of a child that has exited before anybody can read them.
func TestInheritedLabels(t *testing.T) {
	m, w := beginLabelled(t)
	looks := w.looks
	require.Equal(t, map[uint64]byte{theChild: 0x11}, traces(m.takeAll(shortLife...)))
	assert.Equal(t, looks, w.looks, "what the parent has is known")
	assert.Zero(t, m.figures.counts.LabelsMissed)
}

// TestLabelsOfACreator reads labels that only the creator of a goroutine still has.
func TestLabelsOfACreator(t *testing.T) {
	m, w := newLabelled(t)
	m.takeAll(created(parentG, theParent, 0, mainStart), changed(parentG, theParent, runnable, running))
	w.labels(labelsAt, oneTrace, oneSpan)
	w.has(parentG, theParent, labelsAt) // since, without a change
	require.Equal(t, map[uint64]byte{theChild: 0x11}, traces(m.takeAll(shortLife...)))
}

// TestReusedLabels reads again what is at an address that no goroutine may have had for a while.
func TestReusedLabels(t *testing.T) {
	lets := map[string]func(*tested){
		"no labels": func(m *tested) {
			m.takeAll(changed(parentG, theParent, running, runnable), changed(parentG, theParent, runnable, running))
		},
		"a collection": func(m *tested) {
			r := changed(parentG, theParent, running, waiting)
			r.Reason = gcWorker
			m.takeAll(r)
		},
		"exit":  func(m *tested) { m.takeAll(with(labelsAt, changed(parentG, theParent, running, dead))) },
		"loss":  func(m *tested) { m.machine.labels.forget() },
		"age":   func(m *tested) { m.now += labelsAge },
		"reuse": func(m *tested) { m.takeAll(created(parentG, 7, 0, mainStart)) },
		"look": func(m *tested) {
			m.repair(m.now+2*engine.Settled, []engine.Goroutine{{G: parentG, GoID: theParent, State: lifecycle.Waiting, StartPC: mainStart, Sampled: true}})
		},
	}
	for name, let := range lets {
		t.Run(name, func(t *testing.T) {
			m, w := beginLabelled(t)
			let(m)
			w.labels(labelsAt, otherTrace, oneSpan)
			w.has(childG, theChild, labelsAt)
			require.Equal(t, map[uint64]byte{theChild: 0x22}, traces(m.takeAll(shortLife...)))
		})
	}
}

// TestLabelsAfterALoss reads the labels of a goroutine again that seems to have had them all the time.
func TestLabelsAfterALoss(t *testing.T) {
	m, w := beginLabelled(t)
	m.machine.labels.forget()
	w.labels(labelsAt, otherTrace, oneSpan)
	require.Equal(t, map[uint64]byte{theParent: 0x22}, traces(m.takeAll(with(labelsAt, changed(parentG, theParent, running, waiting)))))
}

// TestUsedLabels has a program use labels from the first record of a sampled goroutine that tells some, until a while after the last.
func TestUsedLabels(t *testing.T) {
	m, w := newLabelled(t)
	m.takeAll(created(parentG, theParent, 0, mainStart), changed(parentG, theParent, runnable, running), changed(parentG, theParent, running, waiting))
	assert.False(t, m.labels.used(m.now))
	w.labels(labelsAt, oneTrace, oneSpan)
	w.has(parentG, theParent, labelsAt)
	again := []ring.Record{
		changed(parentG, theParent, waiting, runnable), changed(parentG, theParent, runnable, running), with(labelsAt, changed(parentG, theParent, running, waiting)),
	}
	m.takeAll(again...)
	assert.True(t, m.labels.used(m.now))
	m.now += labelsUsed
	assert.False(t, m.labels.used(m.now))
	m.takeAll(again...)
	assert.True(t, m.labels.used(m.now), "it has them still")
	var none *labelling
	assert.False(t, none.used(m.now))
}

// TestManyLateLabels asks memory that does not answer once for all.
func TestManyLateLabels(t *testing.T) {
	m, w := newLabelled(t)
	w.silent = true
	const many = 100
	for i := range uint64(many) {
		m.takeAll(created(parentG+i<<8, theParent+i, 0, mainStart), changed(parentG+i<<8, theParent+i, runnable, running),
			with(labelsAt, changed(parentG+i<<8, theParent+i, running, waiting)))
	}
	looks := w.looks
	m.queue.begin()
	m.tellLate()
	m.queue.end()
	require.Equal(t, looks+1, w.looks)
	require.Len(t, m.labels.late, many)
}

// TestStackGrowth is no end of labels.
func TestStackGrowth(t *testing.T) {
	m, w := beginLabelled(t)
	looks := w.looks
	m.takeAll(with(labelsAt, changed(parentG, theParent, running, copystack)), changed(parentG, theParent, copystack, running))
	require.Empty(t, traces(m.takeAll(with(labelsAt, changed(parentG, theParent, running, waiting)))))
	require.Equal(t, looks, w.looks)
}

// TestLateLabels are told when the memory answers, of goroutines that live then; those of others are counted.
func TestLateLabels(t *testing.T) {
	m, w := newLabelled(t)
	w.labels(labelsAt, oneTrace, oneSpan)
	w.has(parentG, theParent, labelsAt)
	w.silent = true
	m.takeAll(created(parentG, theParent, 0, mainStart), changed(parentG, theParent, runnable, running), with(labelsAt, changed(parentG, theParent, running, waiting)))
	require.Empty(t, traces(m.takeAll(shortLife...)))
	assert.EqualValues(t, 1, m.figures.counts.LabelsMissed)
	late := func() map[uint64]byte {
		m.queue.begin()
		m.tellLate()
		m.queue.end()
		return traces(m.takeAll())
	}
	require.Empty(t, late())
	w.silent = false
	require.Equal(t, map[uint64]byte{theParent: 0x11}, late())
	require.Empty(t, late())
	m.takeAll(changed(parentG, theParent, waiting, runnable), changed(parentG, theParent, runnable, running), with(labelsAt, changed(parentG, theParent, running, dead)))
	assert.EqualValues(t, 1, m.figures.counts.LabelsMissed)
}
