//go:build linux

package telemetry

import (
	"fmt"
	"strings"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/pclntab"
)

// site is what an interval's state and stack mean.
type site struct {
	leaf pclntab.Frame
	text string
	// name is that of the interval's span.
	name string
}

type siteKey struct {
	stack  *lifecycle.Stack
	state  lifecycle.State
	reason uint8
}

// maxSites bounds the cache of sites.
const maxSites = 1 << 14

// siteOf returns what an interval's state and stack mean.
func (p *Process) siteOf(i lifecycle.Interval) site {
	key := siteKey{stack: i.Stack, state: i.State}
	if i.State == lifecycle.Waiting {
		key.reason = i.Reason
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, ok := p.sites[key]; ok {
		return known
	}
	found := p.findSite(key)
	if len(p.sites) >= maxSites {
		clear(p.sites)
	}
	p.sites[key] = found
	return found
}

func (p *Process) findSite(key siteKey) (found site) {
	if key.stack != nil {
		var frames []pclntab.Frame
		for _, pc := range key.stack.PCs {
			frames = append(frames, p.symbols.Frames(pc-p.bias-1)...) // a return address is behind its call
		}
		found.leaf = goexe.Leaf(frames)
		if p.fullStacks {
			found.text = textOf(frames)
		}
	}
	found.name = stateName(key.state, p.waitReason(key.reason), found.leaf.Function)
	return found
}

// textOf writes a stack as Go's own traces do (runtime/traceback.go), without arguments and addresses.
func textOf(frames []pclntab.Frame) string {
	var text strings.Builder
	for _, f := range frames {
		if goexe.IsBottom(f) {
			break
		}
		fmt.Fprintf(&text, "%s(...)\n\t%s:%d\n", f.Function, f.File, f.Line)
	}
	return text.String()
}
