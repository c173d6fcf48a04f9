//go:build linux

// Package telemetry makes OpenTelemetry spans, log records and metrics of goroutines.
package telemetry

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/google/uuid"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
)

// Identity tells a process from all others that ever ran. Ids of traces and spans are derived from it, so that a collector
// that is restarted continues the same traces.
type Identity struct {
	// BootID is /proc/sys/kernel/random/boot_id.
	BootID string
	PID    int
	// StartTime is in clock ticks since boot.
	StartTime uint64
}

// IdentityOf returns the identity of a process of this machine. Without /proc/sys/kernel/random/boot_id, that is not told from one before
// the last boot.
func IdentityOf(p processes.Process) Identity {
	boot, _ := BootID()
	return Identity{BootID: boot, PID: p.PID, StartTime: p.StartTime}
}

// BootID returns /proc/sys/kernel/random/boot_id, which is read once.
var BootID = sync.OnceValues(func() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id)), err
})

// instances is the namespace of ids of service instances that are derived from something (semantic conventions, service.instance.id).
var instances = uuid.MustParse("4d63009a-8d0f-11ee-aad7-4c796ed8e320")

// instance returns the id of the process as an instance of its service.
func (i Identity) instance() string { return uuid.NewSHA1(instances, i.bytes()).String() }

func (i Identity) bytes() []byte {
	return fmt.Appendf(nil, "%s\x00%d\x00%d", i.BootID, i.PID, i.StartTime)
}

// ids derives the ids of a process's traces and spans.
type ids struct {
	seed [3]uint64
}

func newIDs(i Identity) ids {
	sum := sha256.Sum256(i.bytes())
	var s ids
	for n := range s.seed {
		s.seed[n] = binary.BigEndian.Uint64(sum[8*n:])
	}
	return s
}

// mix spreads each bit of its input over all bits of its output, one to one.
func mix(x uint64) uint64 {
	x ^= x >> 31
	x *= 0x9e3779b97f4a7c15
	x ^= x >> 29
	x *= 0xd1b54a32d192ed03
	x ^= x >> 32
	return x
}

// nonzero keeps clear of the ids that OpenTelemetry calls invalid.
func nonzero(x uint64) uint64 {
	if x == 0 {
		return 1
	}
	return x
}

func (i ids) trace(t lifecycle.Tree) pcommon.TraceID {
	if t.Joined != [16]byte{} {
		return t.Joined
	}
	var id pcommon.TraceID
	for half := range 2 {
		binary.BigEndian.PutUint64(id[8*half:], nonzero(mix(mix(i.seed[half]+t.Root)+uint64(t.Segment))))
	}
	return id
}

// span returns the id of a goroutine's span, or with slice > 0 of the slice-th interval inside it.
func (i ids) span(goid uint64, segment, slice int) pcommon.SpanID {
	var id pcommon.SpanID
	binary.BigEndian.PutUint64(id[:], nonzero(mix(mix(mix(i.seed[2]+goid)+uint64(segment))+uint64(slice))))
	return id
}
