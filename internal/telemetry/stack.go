//go:build linux

package telemetry

import (
	"fmt"
	"strings"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/pclntab"
)

// site is what a stack means.
type site struct {
	leaf pclntab.Frame
	text string
}

// maxSites bounds the cache of stacks.
const maxSites = 1 << 14

// blockedAt returns what the stack of a goroutine that blocks means.
func (p *Process) blockedAt(stack *lifecycle.Stack) site {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known, ok := p.sites[stack]; ok {
		return known
	}
	var frames []pclntab.Frame
	for _, pc := range stack.PCs {
		frames = append(frames, p.symbols.Frames(pc-p.bias-1)...) // a return address is behind its call
	}
	found := site{leaf: leafOf(frames)}
	if p.fullStacks {
		found.text = textOf(frames)
	}
	if len(p.sites) >= maxSites {
		clear(p.sites)
	}
	p.sites[stack] = found
	return found
}

// leafOf returns the innermost frame that is the program's own, and not the runtime's or of a package that only passes a wait on. A
// goroutine that has none is the runtime's: then it is the function that it was started for.
func leafOf(frames []pclntab.Frame) pclntab.Frame {
	var leaf pclntab.Frame
	for _, f := range frames {
		if goexe.IsBottom(f) {
			break
		}
		leaf = f
		if !goexe.IsPassthrough(f) {
			break
		}
	}
	return leaf
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
