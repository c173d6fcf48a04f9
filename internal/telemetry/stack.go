package telemetry

import (
	"fmt"
	"path"
	"strings"

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

// conduits are packages of the standard library, and of its extension, whose functions only pass a wait on: who called them says more.
var conduits = map[string]bool{
	"sync": true, "syscall": true, "time": true, "os": true, "io": true, "bufio": true, "net": true, "iter": true,
	"golang.org/x/sys/unix": true,
}

// leafOf returns the innermost frame that is the program's own, and not the runtime's or of a package that only passes a wait on. A
// goroutine that has none is the runtime's: then it is the function that it was started for.
func leafOf(frames []pclntab.Frame) pclntab.Frame {
	var leaf pclntab.Frame
	for _, f := range frames {
		if f.Function == "runtime.goexit" {
			break
		}
		leaf = f
		if !passesOn(f) {
			break
		}
	}
	return leaf
}

// passesOn tells whether a frame is not where a program blocks. Functions of the runtime's may have other packages' names (time.Sleep).
func passesOn(f pclntab.Frame) bool {
	pkg := packageOf(f.Function)
	dir := path.Dir(f.File)
	return conduits[pkg] || under(pkg, "runtime") || under(pkg, "internal") || dir == "runtime" || strings.HasSuffix(dir, "/src/runtime")
}

func under(pkg, parent string) bool {
	return pkg == parent || strings.HasPrefix(pkg, parent+"/")
}

// packageOf returns the package path of a function's linker symbol, such as net/http of net/http.(*conn).serve.
func packageOf(function string) string {
	// Type arguments may hold other packages' paths.
	function, _, _ = strings.Cut(function, "[")
	slash := strings.LastIndexByte(function, '/') + 1
	name, _, _ := strings.Cut(function[slash:], ".")
	return function[:slash] + name
}

// textOf writes a stack as Go's own traces do (runtime/traceback.go), without arguments and addresses.
func textOf(frames []pclntab.Frame) string {
	var text strings.Builder
	for _, f := range frames {
		if f.Function == "runtime.goexit" {
			break
		}
		fmt.Fprintf(&text, "%s(...)\n\t%s:%d\n", f.Function, f.File, f.Line)
	}
	return text.String()
}
