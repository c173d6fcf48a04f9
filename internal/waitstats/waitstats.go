// Package waitstats counts the goroutines of a process by where they are, and finds those that are blocked.
package waitstats

import (
	"cmp"
	"slices"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// Goroutine is a goroutine as it was found. Those of the runtime itself are left out before.
type Goroutine struct {
	G, GoID uint64
	State   lifecycle.State
	// Reason is the wait reason, if it waits.
	Reason uint8
	// Since is when its state began, in ns of CLOCK_MONOTONIC.
	Since int64
	// CreationPC is the address, in the process, behind the go statement that created it.
	CreationPC uint64
}

// Site is what goroutines that wait have in common: why they do, and where they were created.
type Site struct {
	Reason     uint8
	CreationPC uint64
}

// Count is how many goroutines there are.
type Count struct {
	Live [lifecycle.States]int64
	// Waiting has those that wait, by reason.
	Waiting map[uint8]int64
	// Blocked has those that have waited for longer than a threshold.
	Blocked map[Site]int64
}

// Add counts a goroutine. It is blocked if it has been waiting since before the time blockedBefore.
func (c *Count) Add(r Goroutine, blockedBefore int64) {
	c.Live[r.State]++
	if r.State != lifecycle.Waiting {
		return
	}
	if c.Waiting == nil {
		c.Waiting, c.Blocked = map[uint8]int64{}, map[Site]int64{}
	}
	c.Waiting[r.Reason]++
	if r.Since < blockedBefore {
		c.Blocked[Site{r.Reason, r.CreationPC}]++
	}
}

// LimitTo takes away what are more than wait by now, if the count is older than that: of the reasons that most wait for.
func (c *Count) LimitTo(waiting int64) {
	for _, n := range c.Waiting {
		waiting -= n
	}
	for waiting < 0 {
		most := uint8(0)
		for reason, n := range c.Waiting {
			if n > c.Waiting[most] || n == c.Waiting[most] && reason < most {
				most = reason
			}
		}
		gone := min(-waiting, c.Waiting[most])
		if gone <= 0 {
			return
		}
		c.Waiting[most] -= gone
		waiting += gone
	}
}

// Blocked is a site and how many goroutines are blocked there.
type Blocked struct {
	Site
	Count int64
}

// Changes are the sites at which goroutines are blocked now and were not before, and those of which the opposite is true.
type Changes struct {
	Began   []Blocked
	Cleared []Site
}

// Watch remembers at which sites of a process goroutines are blocked.
type Watch struct {
	blocked map[Site]int64
}

// Update takes the newest count, and returns what has changed.
func (w *Watch) Update(now map[Site]int64) (c Changes) {
	for site, n := range now {
		if w.blocked[site] == 0 {
			c.Began = append(c.Began, Blocked{site, n})
		}
	}
	for site := range w.blocked {
		if now[site] == 0 {
			c.Cleared = append(c.Cleared, site)
		}
	}
	slices.SortFunc(c.Began, compareBlocked)
	slices.SortFunc(c.Cleared, compareSites)
	w.blocked = now
	return c
}

// Top returns the n sites with the most blocked goroutines, and how many are blocked elsewhere, by reason.
func Top(blocked map[Site]int64, n int) (top []Blocked, rest map[uint8]int64) {
	for site, count := range blocked {
		top = append(top, Blocked{site, count})
	}
	slices.SortFunc(top, compareBlocked)
	rest = map[uint8]int64{}
	for _, b := range top[min(n, len(top)):] {
		rest[b.Reason] += b.Count
	}
	return top[:min(n, len(top))], rest
}

func compareBlocked(a, b Blocked) int {
	return cmp.Or(cmp.Compare(b.Count, a.Count), compareSites(a.Site, b.Site))
}

func compareSites(a, b Site) int {
	return cmp.Or(cmp.Compare(a.CreationPC, b.CreationPC), cmp.Compare(a.Reason, b.Reason))
}
