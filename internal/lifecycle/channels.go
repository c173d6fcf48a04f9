package lifecycle

import "slices"

// Hchan is a channel (runtime.hchan in runtime/chan.go).
type Hchan struct {
	Address uint64
	// Buffered tells that it may hold what is taken from it without that being seen. If it has no buffer, whoever sends waits until that is taken,
	// or who takes it has waited.
	Buffered bool
}

// inlet is what is known of the channels by which work comes to a goroutine at home.
type inlet struct {
	channels []Hchan
	// whole tells that there are no others.
	whole bool
}

// maxChannels is how many channels of a goroutine are remembered.
const maxChannels = 64

// cameBy takes in by which channel a wait at home has ended. In a select there may be others, unless it is known that there are none.
func (i *inlet) cameBy(c Hchan, inSelect bool) {
	switch {
	case c.Address == 0 || slices.Contains(i.channels, c):
	case !inSelect:
		*i = inlet{channels: []Hchan{c}, whole: true}
	case i.whole || len(i.channels) >= maxChannels: // it is another than before
		*i = inlet{channels: []Hchan{c}}
	default:
		i.channels = append(i.channels, c)
	}
}

// isDirect tells whether all that comes in is seen to come.
func (i *inlet) isDirect() bool {
	return i.whole && !slices.ContainsFunc(i.channels, func(c Hchan) bool { return c.Buffered })
}

// takes tells whether what a channel brings may be work for the goroutine, and whether that is certain. The channel is 0 if it is not known.
func (i *inlet) takes(channel uint64) (may, certain bool) {
	known := slices.ContainsFunc(i.channels, func(c Hchan) bool { return c.Address == channel })
	return known || !i.whole || channel == 0, known
}

// Asked is a goroutine that waits for channels of which not all is known.
type Asked struct{ G, GoID uint64 }

// maxAsked bounds how many goroutines are asked about at once.
const maxAsked = 256

// ask remembers a goroutine that is at home.
func (t *Tracker) ask(g *Goroutine) {
	if !g.inlet.whole && g.home.Channels && len(t.asked) < maxAsked {
		t.asked[g.G] = g.GoID
	}
}

// Asked returns goroutines that are at home waiting for channels, of which it is to be found out which ones these are. Until Learn has told, what
// they are woken for in a select is not known for sure.
func (t *Tracker) Asked() (all []Asked) {
	for address, goid := range t.asked {
		if g := t.live[address]; g != nil && g.GoID == goid && (g.idle || g.atHome) {
			all = append(all, Asked{address, goid})
		}
	}
	clear(t.asked)
	return all
}

// Learn tells all channels that a goroutine waits for, as a look at the process's memory has found.
func (t *Tracker) Learn(w Asked, channels []Hchan) {
	g := t.live[w.G]
	if g == nil || g.GoID != w.GoID || !g.home.Channels {
		return
	}
	g.inlet = inlet{channels: channels, whole: true}
}

// isDirect tells whether all work that comes to a goroutine at home is seen to come.
func (g *Goroutine) isDirect() bool { return g.home.Source != Channel || g.inlet.isDirect() }
