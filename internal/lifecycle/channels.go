package lifecycle

import "slices"

// Hchan is a channel (runtime.hchan in runtime/chan.go).
type Hchan struct {
	// Size is how many items its buffer can hold: what is taken out of that is not seen. If it has none, whoever sends waits until that is taken, or who
	// takes it has waited.
	Address, Size uint64
	// Since is from when on, in ns of CLOCK_MONOTONIC, events tell of each item that is put into its buffer or taken out of it; 0 if none do.
	Since int64
}

// isSeen tells whether all is seen that comes by the channel from a moment on.
func (c Hchan) isSeen(at int64) bool { return c.Size == 0 || c.isTold(at) }

func (c Hchan) isTold(at int64) bool { return c.Since != 0 && at >= c.Since }

// inlet is what is known of the channels by which work comes to a goroutine at home.
type inlet struct {
	channels []Hchan
	// whole tells that there are no others, learnt that they were looked for.
	whole, learnt bool
	// changes counts what happened to it since an answer of Learn may have been asked for.
	changes uint64
}

// maxChannels is how many channels of a goroutine are remembered.
const maxChannels = 64

// cameBy takes in by which channel a wait at home has ended. In a select there may be others, unless it is known that there are none.
func (i *inlet) cameBy(channel, size uint64, inSelect bool) {
	if known := i.find(channel); channel == 0 || known != nil && known.Size == size {
		return
	}
	c := Hchan{Address: channel, Size: size}
	switch {
	case !inSelect:
		*i = inlet{channels: []Hchan{c}, whole: true, changes: i.changes + 1}
	case i.whole || len(i.channels) >= maxChannels: // it is another than before
		*i = inlet{channels: []Hchan{c}, changes: i.changes + 1}
	default:
		i.channels = append(i.channels, c)
		i.changes++
	}
}

// miss takes in that items of a channel, or of any if that is 0, were missed up to a moment, or are not told of any more if that is 0. It reports whether
// the goroutine may have taken one of them.
func (i *inlet) miss(channel uint64, until int64) (concerned bool) {
	i.changes++
	for n := range i.channels {
		c := &i.channels[n]
		if c.Since == 0 || channel != 0 && c.Address != channel {
			continue
		}
		concerned = true
		if c.Since = max(c.Since, until); until == 0 {
			c.Since, i.learnt = 0, false // it is asked for again
		}
	}
	return concerned
}

// find returns what is known of a channel, nil if it is none of these.
func (i *inlet) find(channel uint64) *Hchan {
	for n := range i.channels {
		if i.channels[n].Address == channel {
			return &i.channels[n]
		}
	}
	return nil
}

// isDirect tells whether all that comes in from a moment on is seen to come.
func (i *inlet) isDirect(at int64) bool {
	return i.whole && !slices.ContainsFunc(i.channels, func(c Hchan) bool { return !c.isSeen(at) })
}

// takes tells whether what a channel brings may be work for the goroutine, and whether that is certain. The channel is 0 if it is not known.
func (i *inlet) takes(channel uint64) (may, certain bool) {
	known := i.find(channel) != nil
	return known || !i.whole || channel == 0, known
}

// Asked is a goroutine that waits for channels of which not all is known.
type Asked struct {
	G, GoID uint64
	// Channels are those channels, nil if it is not known which ones they are.
	Channels []Hchan

	changes uint64 // of the inlet by then
}

// maxAsked bounds how many goroutines are asked about at once.
const maxAsked = 256

// ask remembers a goroutine that is at home.
func (t *Tracker) ask(g *Goroutine) {
	if !g.inlet.learnt && g.home.Channels && !g.inlet.isDirect(0) && len(t.asked) < maxAsked {
		t.asked[g.G] = g.GoID
	}
}

// Asked returns goroutines that are at home waiting for channels, of which it is to be found out which ones these are. Until Learn has told, what
// they are woken for in a select, or by a channel with a buffer, is not known for sure.
func (t *Tracker) Asked() (all []Asked) {
	for address, goid := range t.asked {
		g := t.live[address]
		switch {
		case g == nil || g.GoID != goid:
		case g.inlet.whole:
			all = append(all, Asked{address, goid, slices.Clone(g.inlet.channels), g.inlet.changes})
		case g.idle || g.atHome:
			all = append(all, Asked{G: address, GoID: goid, changes: g.inlet.changes})
		}
	}
	clear(t.asked)
	return all
}

// Learn tells all channels that a goroutine waits for, as a look at the process's memory has found, and which of them are told of. If
// more has become known of the goroutine since it was asked about, the answer is dropped.
func (t *Tracker) Learn(w Asked) {
	for _, c := range w.Channels {
		if c.Since != 0 {
			t.following[c.Address] = true
		}
	}
	g := t.live[w.G]
	if g == nil || g.GoID != w.GoID || !g.home.Channels || w.Channels == nil || w.changes != g.inlet.changes {
		return
	}
	g.inlet = inlet{channels: w.Channels, whole: true, learnt: true, changes: w.changes + 1}
}

// Unused returns the channels whose items are told of although no goroutine is known any more that waits for them at home.
func (t *Tracker) Unused() (unused []uint64) {
	if len(t.following) == 0 {
		return nil
	}
	used := map[uint64]bool{}
	for _, g := range t.live {
		for _, c := range g.inlet.channels {
			used[c.Address] = used[c.Address] || c.Since != 0
		}
	}
	for address := range t.following {
		if !used[address] {
			unused = append(unused, address)
			delete(t.following, address)
		}
	}
	return unused
}

// maxItems bounds how many items are known that nobody has received yet.
const maxItems = 1 << 16

// item is what lies in the buffer of a channel: for what it was sent, and when, in ns of CLOCK_MONOTONIC.
type item struct {
	from *episode
	sent int64
}

// send remembers for what an item was sent.
func (t *Tracker) send(e *Event) {
	if len(t.items) >= maxItems {
		clear(t.items)
	}
	_, from := t.actor(e.G, e.GoID, e.Time)
	if from = t.afterReply(from, e.Time); from != nil {
		from.wakes(nil) // somebody who is, or was, at home
		t.items[e.Item] = item{from, e.Time}
	}
}

// receive begins an episode of a goroutine that takes an item out of the buffer of a channel for which it waits at home, as handOver does.
func (t *Tracker) receive(e *Event) {
	taken := t.items[e.Item]
	delete(t.items, e.Item)
	g := t.live[e.G]
	if g == nil || g.life == nil || g.episode == nil || g.home.Source != Channel || g.inlet.find(e.Channel) == nil || e.Time <= g.Start {
		return
	}
	t.confirmVisit(g)
	at := max(e.Time, g.current.Start) // it may be told late
	switch {
	case taken.from == nil:
		t.beginTaken(g, at, nil, Unknown)
	case taken.from.root != g.episode.root:
		t.beginTaken(g, at, taken.from, Exact)
		g.Queued = max(0, at-taken.sent)
	}
}

// miss makes it unknown for what goroutines work that may have taken items that nobody has told of.
func (t *Tracker) miss(e *Event) {
	for _, g := range t.live {
		if g.inlet.miss(e.Channel, e.Since) && g.episode != nil && g.Cause != NoEpisode {
			g.Cause = Unknown
		}
	}
}

// isDirect tells whether all work that comes to a goroutine at home from a moment on is seen to come.
func (g *Goroutine) isDirect(at int64) bool {
	return g.home.Source != Channel || g.inlet.isDirect(at)
}
