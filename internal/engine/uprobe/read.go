//go:build linux

package uprobe

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
	"unsafe"

	"github.com/cilium/ebpf/ringbuf"

	"github.com/otelgoroutine/goroutinereceiver/bpf"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// Next reads the next event into e. It reports false if none has come until a time, or after Wake. It is not safe for concurrent use.
func (t *Engine) Next(e *lifecycle.Event, until time.Time) (bool, error) {
	t.reader.SetDeadline(until)
	err := t.reader.ReadInto(&t.record)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, ringbuf.ErrFlushed):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read the ring buffer: %w", err)
	}
	return true, t.decode(t.record.RawSample, e)
}

// Wake makes a Next that waits return.
func (t *Engine) Wake() { _ = t.reader.Flush() }

// decode turns a record of the ring buffer into an event.
func (t *Engine) decode(raw []byte, e *lifecycle.Event) error {
	r, ok := as[bpf.TracerEvent](raw)
	if !ok {
		return fmt.Errorf("event of %d bytes", len(raw))
	}
	*e = lifecycle.Event{
		Time: int64(r.Time), Since: int64(r.Since),
		PID: int(r.Pid), TID: int(r.Tid),
		G: r.G, GoID: r.Goid,
		Waker: r.Waker, WakerGoID: r.WakerGoid,
		From: lifecycle.State(r.From), To: lifecycle.State(r.To),
		FromReason: r.FromReason, ToReason: r.ToReason,
		Lost:        r.Lost,
		System:      r.Flags&uint8(bpf.TracerGoroutineFlagGOROUTINE_SYSTEM) != 0,
		Preexisting: r.Flags&uint8(bpf.TracerGoroutineFlagGOROUTINE_PREEXISTING) != 0,
		Root:        r.Flags&uint8(bpf.TracerGoroutineFlagGOROUTINE_ROOT) != 0,
		Labelled:    r.Flags&uint8(bpf.TracerGoroutineFlagGOROUTINE_LABELLED) != 0,
	}
	switch bpf.TracerEventKind(r.Kind) {
	case bpf.TracerEventKindEVENT_TRANSITION:
		e.Kind = lifecycle.Transition
	case bpf.TracerEventKindEVENT_BLOCKED:
		e.Kind = lifecycle.Transition
		e.Stack = stackOf(raw)
	case bpf.TracerEventKindEVENT_WOKEN:
		w, ok := as[bpf.TracerWaking](raw)
		if !ok {
			return fmt.Errorf("waking of %d bytes", len(raw))
		}
		e.Kind = lifecycle.Transition
		e.Channel, e.BufferSize = w.Channel, w.Dataqsiz
	case bpf.TracerEventKindEVENT_LABELLED:
		l, ok := as[bpf.TracerLabelling](raw)
		if !ok {
			return fmt.Errorf("labels of %d bytes", len(raw))
		}
		e.Kind = lifecycle.Labelled
		if e.Context, ok = contextOf(l, t.options.Labels); !ok {
			e.Context = lifecycle.SpanContext{}
		}
	case bpf.TracerEventKindEVENT_CREATED:
		c, ok := as[bpf.TracerCreation](raw)
		if !ok {
			return fmt.Errorf("creation of %d bytes", len(raw))
		}
		e.Kind = lifecycle.Created
		e.Parent, e.ParentGoID, e.StartPC, e.CreationPC = c.Parent, c.ParentGoid, c.StartPc, c.CreationPc
		e.CreatorStack = engine.CreatorStack(untilZero(c.Stack.Pc[:]), e.CreationPC)
	case bpf.TracerEventKindEVENT_EXITED:
		x, ok := as[bpf.TracerEnding](raw)
		if !ok {
			return fmt.Errorf("exit of %d bytes", len(raw))
		}
		e.Kind = lifecycle.Exited
		for i := range x.Time {
			e.Totals[i+1] = lifecycle.Total{Count: x.Count[i], Nanoseconds: x.Time[i]}
		}
	case bpf.TracerEventKindEVENT_PROCESS_EXECUTED:
		e.Kind = lifecycle.ProcessExecuted
	case bpf.TracerEventKindEVENT_PROCESS_EXITED:
		e.Kind = lifecycle.ProcessExited
	case bpf.TracerEventKindEVENT_PROCESS_FOLLOWED:
		e.Kind = lifecycle.ProcessFollowed
	default:
		return fmt.Errorf("event of kind %d", r.Kind)
	}
	return nil
}

// stackOf returns the return addresses behind an event.
func stackOf(raw []byte) []uint64 {
	var pcs []uint64
	if b, ok := as[bpf.TracerBlocking](raw); ok {
		pcs = b.Pc[:]
	}
	return untilZero(pcs)
}

func untilZero(pcs []uint64) []uint64 {
	if end := slices.Index(pcs, 0); end >= 0 {
		return pcs[:end]
	}
	return pcs
}

// as views a record as the type that the kernel wrote; records lie at multiples of 8 bytes.
func as[T any](raw []byte) (*T, bool) {
	var want T
	if uintptr(len(raw)) < unsafe.Sizeof(want) {
		return nil, false
	}
	return (*T)(unsafe.Pointer(unsafe.SliceData(raw))), true
}
