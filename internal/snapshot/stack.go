//go:build linux

package snapshot

import (
	"context"
	"encoding/binary"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

const (
	// maxFrames is how many frames of a stack are read, the innermost ones.
	maxFrames = 64
	// frameSize is what a frame pointer points at: that of the caller, and the return address (cmd/compile/abi-internal.md).
	frameSize = 2 * wordSize
	// windowSize is how much of a stack is read at once.
	windowSize = 1024
)

// window is a part of a stack.
type window struct {
	at    uint64
	words []byte
}

// frame returns what the frame pointer at an address points at; ok is false if that is not in the window.
func (w window) frame(at uint64) (caller, returnsTo uint64, ok bool) {
	if at < w.at || at-w.at > uint64(len(w.words)) || uint64(len(w.words))-(at-w.at) < frameSize {
		return 0, 0, false
	}
	f := w.words[at-w.at:]
	return binary.LittleEndian.Uint64(f), binary.LittleEndian.Uint64(f[wordSize:]), true
}

// stackOf returns the return addresses of a goroutine that waits, innermost first, as far as they can be read.
func (s Source) stackOf(ctx context.Context, g *Goroutine) []uint64 {
	if g.State != lifecycle.Waiting || g.schedPC == 0 {
		return nil
	}
	pcs := []uint64{g.schedPC}
	var w window
	for at := g.schedBP; at != 0 && len(pcs) < maxFrames; {
		caller, returnsTo, ok := w.frame(at)
		if !ok {
			w = s.windowAt(ctx, at)
			caller, returnsTo, ok = w.frame(at)
		}
		if !ok || returnsTo == 0 {
			break
		}
		pcs = append(pcs, returnsTo)
		if caller <= at { // stacks grow down: what does not lead up leads nowhere
			break
		}
		at = caller
	}
	return pcs
}

// windowAt reads a part of a stack, or only one frame where memory ends soon behind it.
func (s Source) windowAt(ctx context.Context, at uint64) window {
	for _, size := range []int{windowSize, frameSize} {
		words := make([]byte, size)
		if s.read(ctx, []unix.RemoteIovec{piece(at, size)}, words) == nil {
			return window{at, words}
		}
	}
	return window{}
}
