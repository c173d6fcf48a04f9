//go:build linux

package trampoline

import "github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"

// knownLabels is what is at an address that goroutines have as g.labels. The runtime never changes labels, and never frees them as long as a goroutine
// has them; before it does, all goroutines stop to run, so that a record tells of each whether it still has them. Hence what was read stays true
// for as long as one that is known to have them is not known to have others.
type knownLabels struct {
	context lifecycle.SpanContext
	holders int
	read    int64 // when, in ns of CLOCK_MONOTONIC
}

const (
	// labelsAge is for how long what was read is believed all the same, in ns.
	labelsAge = 1e9
	// labelsUsed is for how long after a goroutine had labels, in ns, a program is taken to use them.
	labelsUsed = 60e9
	// maxLate bounds how many goroutines' labels are looked for again.
	maxLate = 1 << 10
)

// lateLabels are those of a goroutine that could not be read when it was told that it has them.
type lateLabels struct {
	change
	labels  uint64
	created int64 // when the goroutine was
}

// labelling knows the labels of a process's sampled goroutines.
type labelling struct {
	labelReader
	known map[uint64]*knownLabels
	late  []lateLabels
	// losses is how often records were lost, in which goroutines may have got other labels.
	losses uint16
	// seen is when a sampled goroutine last had labels, in ns of CLOCK_MONOTONIC, 0 if none ever had.
	seen int64
}

// addressBits is how many bits an address has: above these, a goroutine's labels have the number of losses before it was known to have them.
const addressBits = 48

// since returns labels as a goroutine has them since the last loss.
func (l *labelling) since(labels uint64) uint64 {
	if labels == 0 {
		return 0
	}
	return labels | uint64(l.losses)<<addressBits
}

// release takes that a goroutine no longer has the labels that it was known to have.
func (l *labelling) release(g *goroutine) {
	if g.labels == 0 {
		return
	}
	labels := g.labels & (1<<addressBits - 1)
	if k := l.known[labels]; k != nil && g.labels == l.since(labels) {
		if k.holders--; k.holders == 0 {
			delete(l.known, labels)
		}
	}
	g.labels = 0
}

// hold takes that a goroutine has labels.
func (l *labelling) hold(g *goroutine, labels uint64, context lifecycle.SpanContext, now int64) {
	k := l.known[labels]
	if k == nil {
		k = &knownLabels{}
		l.known[labels] = k
	}
	k.holders++
	k.context, k.read = context, now
	g.labels = l.since(labels)
}

// used tells whether the program uses labels, at a time in ns of CLOCK_MONOTONIC, as far as is known.
func (l *labelling) used(now int64) bool { return l != nil && l.seen != 0 && now-l.seen < labelsUsed }

// forget is called when records were lost: goroutines may have other labels by now.
func (l *labelling) forget() {
	if l != nil {
		clear(l.known)
		l.losses++
	}
}

// labelsOf returns the address of the labels that a goroutine had when it stopped to run or was created.
func (c *change) labelsOf() uint64 {
	if !c.HasLabels {
		return 0
	}
	return c.Labels & (1<<addressBits - 1)
}

// tellLabels tells of a goroutine that has other labels than before.
func (m *machine) tellLabels(c *change, g *goroutine, parent uint64) {
	labels := c.labelsOf()
	if m.labels == nil {
		return
	}
	if labels != 0 {
		m.labels.seen = c.now
	}
	if m.labels.since(labels) == g.labels {
		return
	}
	m.labels.release(g)
	if g.unread = false; labels == 0 {
		return
	}
	context, found := m.readLabels(c, g, labels, parent)
	switch found {
	case labelsRead:
		m.tellContext(c, g, labels, context)
	case noAnswer:
		g.unread = true
		if len(m.labels.late) < maxLate {
			record := *c.Record
			m.labels.late = append(m.labels.late, lateLabels{change{Record: &record, now: c.now, from: lifecycle.Running, to: c.to}, labels, g.created})
		}
	default:
		g.unread = true
	}
}

// readLabels returns the span that labels name, which are known or are read now.
func (m *machine) readLabels(c *change, g *goroutine, labels, parent uint64) (lifecycle.SpanContext, labelsFound) {
	if k := m.labels.known[labels]; k != nil && c.now-k.read < labelsAge {
		return k.context, labelsRead
	}
	goid := c.GoID
	if m.staleGoID && c.Created {
		goid = 0
	}
	return m.labels.context(labels, holder{c.G, goid}, holder{parent, m.knownGoID(parent)})
}

// knownGoID returns the id of the goroutine that has a g, 0 if it is not known.
func (m *machine) knownGoID(g uint64) uint64 {
	if known := m.goroutines.find(g); g != 0 && known != nil {
		return known.goid
	}
	return 0
}

// tellContext tells of the span that a goroutine's labels name.
func (m *machine) tellContext(c *change, g *goroutine, labels uint64, context lifecycle.SpanContext) {
	if e := m.event(lifecycle.Labelled, c, g); e != nil {
		e.From, e.Context = c.from, context
		m.labels.hold(g, labels, context, c.now)
	}
}

// noteLabels takes what a change of status that is none of state tells of labels: collections stop goroutines by some.
func (m *machine) noteLabels(c *change) {
	if m.labels == nil || c.Old != m.running {
		return
	}
	if g := m.goroutines.find(c.G); g != nil && m.labels.since(c.labelsOf()) != g.labels {
		m.labels.release(g)
	}
}

// tellLate looks again for labels that could not be read: the reader, or the process, had no time.
func (m *machine) tellLate() {
	if m.labels == nil || len(m.labels.late) == 0 {
		return
	}
	late := m.labels.late
	m.labels.late = late[:0]
	for i := range late {
		l := &late[i]
		g := m.goroutines.find(l.G)
		if g == nil || !g.sampled || !g.unread || g.state == lifecycle.Dead || g.created != l.created {
			continue
		}
		switch context, found := m.readLabels(&l.change, g, l.labels, 0); found {
		case labelsRead:
			g.unread = false
			m.tellContext(&l.change, g, l.labels, context)
		case noAnswer: // nor is there one for the others
			m.labels.late = append(m.labels.late, late[i:]...)
			return
		}
	}
}
