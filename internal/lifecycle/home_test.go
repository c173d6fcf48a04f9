package lifecycle

import "testing"

// Places of a worker, by a letter: its own receive and select, a receive in what it calls, its own sleep, a read, a mutex.
var placesOfWorker = map[byte]Place{
	'r': {Key: 1, Source: Channel, Own: true},
	's': {Key: 2, Source: Channel, Own: true, Select: true},
	'n': {Key: 3, Source: Channel},
	'm': {Key: 4, Source: Channel},
	'z': {Key: 5, Source: Timer, Own: true},
	'd': {Key: 6, Source: Timer},
	'i': {Key: 7, Source: Network, Own: true},
	'x': {Key: 8, Source: Elsewhere, Own: true},
	'?': {Source: Channel, Own: true},
}

// TestHomes has a goroutine wait here and there. Upper-case letters of want are visits at home.
func TestHomes(t *testing.T) {
	for name, c := range map[string]struct {
		waits, want string
		known       byte
	}{
		"the first wait, if it is its own":                 {waits: "rr", want: "RR"},
		"a worker that always finds work":                  {waits: "rnnnn", want: "Rnnnn"},
		"until another has settled":                        {waits: "rsssr", want: "RssSR"},
		"unless it repeats too":                            {waits: "rssrss", want: "RssRss"},
		"the first of its own that repeats":                {waits: "nrsrs", want: "nrsRs"},
		"one seen earlier takes over":                      {waits: "nrssr", want: "nrsSR"},
		"one in what it calls, if none is its own":         {waits: "xnmnm", want: "xnmNm"},
		"its own takes over":                               {waits: "nnrr", want: "nNrR"},
		"its own sleep, if it waits nowhere":               {waits: "zz", want: "zZ"},
		"a wait takes over from a sleep":                   {waits: "zznn", want: "zZnN"},
		"a sleep in what it calls is none":                 {waits: "dddd", want: "dddd"},
		"a mutex is none":                                  {waits: "xxxx", want: "xxxx"},
		"a place that is not known is none":                {waits: "????", want: "????"},
		"a mutex before it says that it is not the first":  {waits: "xrr", want: "xrR"},
		"as others of its kind have it":                    {waits: "xnm", want: "xNm", known: 'n'},
		"and keeps it":                                     {waits: "xnrrmm", want: "xNrrmm", known: 'n'},
		"others of its kind have another, and it finds it": {waits: "xsns", want: "xsNs", known: 'n'},
	} {
		t.Run(name, func(t *testing.T) {
			homes, h := NewHomes(), habits{}
			if c.known != 0 {
				homes.learn(started{start: 1}, placesOfWorker[c.known].Key)
			}
			got := []byte(c.waits)
			for i := range got {
				if h.visit(placesOfWorker[got[i]], 1, homes) {
					got[i] -= 'a' - 'A'
				}
			}
			if string(got) != c.want {
				t.Errorf("%s are waits at home as in %s, want %s", c.waits, got, c.want)
			}
		})
	}
}

// TestHomesOfLoops has goroutines that were started for one function call different loops, which have different homes.
func TestHomesOfLoops(t *testing.T) {
	homes := NewHomes()
	nested := func(key uint64, loop string) Place { return Place{Key: key, Source: Channel, Loop: loop} }
	h := habits{}
	for range repeated {
		h.visit(nested(1, "main.reads"), 1, homes)
	}
	h = habits{}
	for range repeated {
		h.visit(nested(2, "main.writes"), 1, homes)
	}
	if h = (habits{}); !h.visit(nested(1, "main.reads"), 1, homes) {
		t.Error("what reads does not know its home, after another has been learnt for what writes")
	}
}

// TestHomesAreShared has one goroutine learn, and another know.
func TestHomesAreShared(t *testing.T) {
	homes := NewHomes()
	for goroutine, want := range []bool{false, true, true} {
		var h habits
		h.visit(placesOfWorker['x'], 1, homes)
		if at := h.visit(placesOfWorker['n'], 1, homes); at != want {
			t.Errorf("goroutine %d is at home: %v", goroutine, at)
		}
		h.visit(placesOfWorker['n'], 1, homes)
	}
	var other habits
	if other.visit(placesOfWorker['n'], 2, homes) {
		t.Error("another function has the same home")
	}
}

func TestCandidatesAreBounded(t *testing.T) {
	homes, h := NewHomes(), habits{}
	for key := range uint64(100) {
		h.visit(Place{Key: key + 1, Source: Channel}, 1, homes)
	}
	if len(h.candidates) > maxCandidates {
		t.Errorf("%d places are remembered", len(h.candidates))
	}
}
