package goexe

import (
	"strings"

	"golang.org/x/arch/x86/x86asm"

	"github.com/otelgoroutine/goroutinereceiver/internal/pclntab"
)

// wrapperOf117 is in the names of the functions that Go 1.17 makes for go statements with arguments
// (cmd/compile/internal/walk/order.go: wrapGoDefer). Their tables do not tell, as later ones do, what they wrap.
const wrapperOf117 = "·dwrap·"

// calledByWrapper returns the function that a wrapper of Go 1.17 calls: the only one but the runtime's, which the code names itself.
func (b *Binary) calledByWrapper(wrapper pclntab.Func) (called pclntab.Func, ok bool) {
	name := wrapper.Name()
	if !strings.Contains(name, wrapperOf117) || b.GOARCH != "amd64" || wrapper.End-wrapper.Entry > maxAnchor {
		return pclntab.Func{}, false
	}
	code, err := decodeX86(function{name: name, entry: wrapper.Entry, code: b.image.between(wrapper.Entry, wrapper.End)})
	if err != nil {
		return pclntab.Func{}, false
	}
	for _, in := range code {
		if in.Op != x86asm.CALL {
			continue
		}
		to, direct := in.target()
		f, found := b.symbols.Find(to)
		if found && f.HasNamePrefix("runtime.") {
			continue // to grow the stack, or of the race detector
		}
		if !direct || !found || f.Entry != to || ok && f.Entry != called.Entry {
			return pclntab.Func{}, false
		}
		called, ok = f, true
	}
	return called, ok
}
