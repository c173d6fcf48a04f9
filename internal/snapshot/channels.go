//go:build linux

package snapshot

import (
	"context"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// maxCases is how many channels of a select are looked at.
const maxCases = 64

// Channels returns the channels that a goroutine waits for; none if it waits for none just now, or for too many to look at.
func (s Source) Channels(ctx context.Context, g, goid uint64) (channels []lifecycle.Hchan) {
	before, ok := s.waitsFor(ctx, g, goid)
	if !ok || before == 0 {
		return nil
	}
	sudog := before
	for range maxCases {
		channel, err := s.word(ctx, sudog+uint64(s.Binary.Layout.Sudog.C))
		if err != nil || channel == 0 {
			return nil
		}
		size, err := s.word(ctx, channel+uint64(s.Binary.Layout.Hchan.DataQSiz))
		if err != nil {
			return nil
		}
		channels = append(channels, lifecycle.Hchan{Address: channel, Size: size})
		if sudog, err = s.word(ctx, sudog+uint64(s.Binary.Layout.Sudog.WaitLink)); err != nil {
			return nil
		}
		if sudog == 0 {
			break
		}
	}
	if after, ok := s.waitsFor(ctx, g, goid); !ok || after != before || sudog != 0 {
		return nil
	}
	return channels
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
