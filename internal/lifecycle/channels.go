package lifecycle

// channels is what is known of those for which a goroutine waits at home.
type channels uint8

const (
	unknownChannels channels = iota
	// unbuffered ones have no room: whoever sends waits until the goroutine takes what is sent, or it waits for that.
	unbuffered
	// buffered ones may hold what the goroutine takes without that being seen.
	buffered
)

// Asked is a goroutine that waits for channels of which nothing is known.
type Asked struct{ G, GoID uint64 }

// maxAsked bounds how many goroutines are asked about at once.
const maxAsked = 256

// ask remembers a goroutine that is at home.
func (t *Tracker) ask(g *Goroutine) {
	if g.channels == unknownChannels && g.home.Channels && len(t.asked) < maxAsked {
		t.asked[g.G] = g.GoID
	}
}

// Asked returns goroutines that are at home waiting for channels, of which it is to be found out whether they have buffers. Until Learn has told,
// what they are woken for is not known for sure.
func (t *Tracker) Asked() (all []Asked) {
	for address, goid := range t.asked {
		if g := t.live[address]; g != nil && g.GoID == goid && (g.idle || g.atHome) {
			all = append(all, Asked{address, goid})
		}
	}
	clear(t.asked)
	return all
}

// Learn tells whether none of the channels that a goroutine waits for has a buffer, as a look at the process's memory has found.
func (t *Tracker) Learn(w Asked, none bool) {
	g := t.live[w.G]
	if g == nil || g.GoID != w.GoID || !g.home.Channels {
		return
	}
	g.channels = buffered
	if none {
		g.channels = unbuffered
	}
}

// isDirect tells whether all work that comes to a goroutine at home is seen to come.
func (g *Goroutine) isDirect() bool { return g.home.Source != Channel || g.channels == unbuffered }
