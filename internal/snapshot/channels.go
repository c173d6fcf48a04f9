//go:build linux

package snapshot

import (
	"context"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

const (
	// bufferSize is where a channel has how many items its buffer can hold (hchan.dataqsiz in runtime/chan.go).
	bufferSize = wordSize
	// maxCases is how many channels of a select are looked at.
	maxCases = 64
)

// Unbuffered tells whether none of the channels that a goroutine waits for has a buffer. known is false if it waits for none just now, or for
// too many to look at.
func (s Source) Unbuffered(ctx context.Context, g, goid uint64) (unbuffered, known bool) {
	before, ok := s.waitsFor(ctx, g, goid)
	if !ok || before == 0 {
		return false, false
	}
	unbuffered = true
	sudog := before
	for range maxCases {
		channel, err := s.word(ctx, sudog+uint64(s.Binary.Layout.Sudog.C))
		if err != nil || channel == 0 {
			return false, false
		}
		size, err := s.word(ctx, channel+bufferSize)
		if err != nil {
			return false, false
		}
		unbuffered = unbuffered && size == 0
		if sudog, err = s.word(ctx, sudog+uint64(s.Binary.Layout.Sudog.WaitLink)); err != nil {
			return false, false
		}
		if sudog == 0 {
			break
		}
	}
	after, ok := s.waitsFor(ctx, g, goid)
	return unbuffered, ok && after == before && sudog == 0
}

// waitsFor returns the first sudog of a goroutine that waits (g.waiting in runtime/runtime2.go); ok is false if it does not.
func (s Source) waitsFor(ctx context.Context, g, goid uint64) (sudog uint64, ok bool) {
	l := s.Binary.Layout
	id, err := s.word(ctx, g+uint64(l.G.Goid))
	if err != nil || id != goid {
		return 0, false
	}
	status, err := s.word(ctx, g+uint64(l.G.AtomicStatus)) // of which the lower half counts
	if err != nil || statesOf(l)[status&statusMask] != lifecycle.Waiting {
		return 0, false
	}
	sudog, err = s.word(ctx, g+uint64(l.G.Waiting))
	return sudog, err == nil
}
