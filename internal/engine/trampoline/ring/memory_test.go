//go:build linux

package ring

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func memfd(t *testing.T, flags int) int {
	t.Helper()
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC|flags)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// TestFormat has a memory that tells what it is, whose size cannot change, and which a second process could go on with.
func TestFormat(t *testing.T) {
	fd := memfd(t, unix.MFD_ALLOW_SEALING)
	if err := Format(fd, small, []int{0, 99}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Ftruncate(fd, 0); err == nil {
		t.Error("the memory could be made smaller")
	}
	first, err := NewMemory(fd, small)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	for offset, want := range map[uint64]uint64{OffMagic: Magic, OffVersion: Version, OffCPUs: uint64(small.CPUs), OffBits: uint64(small.Bits)} {
		if got := first.Word(offset); got != want {
			t.Errorf("word %#x is %#x, want %#x", offset, got, want)
		}
	}
	clock := &counter{}
	if (writer{first, clock.now}).write(0, written{}) {
		t.Error("written without a reader")
	}
	second, err := NewMemory(fd, small)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if first.Dropped() != 1 || second.Dropped() != 0 {
		t.Errorf("%d and %d dropped", first.Dropped(), second.Dropped())
	}
	second.Beat(1 << 62)
	w := writer{first, clock.now}
	newReader(first, clock.now)
	w.write(0, written{goid: 1})
	r := newReader(second, clock.now)
	w.write(0, written{goid: 2})
	if got, _ := all(r, 10); len(got) != 1 || got[0].GoID != 2 {
		t.Errorf("second reader: %v", got)
	}
}

// TestUnsafeMemory refuses what a process could give in place of the memory so that reading it kills this one.
func TestUnsafeMemory(t *testing.T) {
	tests := map[string]func(t *testing.T) (int, Geometry){
		"size not sealed": func(t *testing.T) (int, Geometry) {
			fd := memfd(t, unix.MFD_ALLOW_SEALING)
			if err := unix.Ftruncate(fd, int64(small.Size())); err != nil {
				t.Fatal(err)
			}
			return fd, small
		},
		"smaller": func(t *testing.T) (int, Geometry) {
			fd := memfd(t, unix.MFD_ALLOW_SEALING)
			if err := Format(fd, small, nil); err != nil {
				t.Fatal(err)
			}
			return fd, Geometry{CPUs: small.CPUs + 1, Bits: small.Bits}
		},
		"no memory": func(t *testing.T) (int, Geometry) {
			f, err := os.Open("/proc/self/exe")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			return int(f.Fd()), small
		},
		"no CPUs":   func(t *testing.T) (int, Geometry) { return memfd(t, 0), Geometry{Bits: 10} },
		"few slots": func(t *testing.T) (int, Geometry) { return memfd(t, 0), Geometry{CPUs: 1, Bits: 3} },
		"too many":  func(t *testing.T) (int, Geometry) { return memfd(t, 0), Geometry{CPUs: 1, Bits: MaxBits + 1} },
	}
	for name, make := range tests {
		t.Run(name, func(t *testing.T) {
			if m, err := NewMemory(make(t)); err == nil {
				m.Close()
				t.Error("was mapped")
			}
		})
	}
}

// TestPunch gives pages back, and all slots are as never written.
func TestPunch(t *testing.T) {
	fd := memfd(t, unix.MFD_ALLOW_SEALING)
	if err := Format(fd, small, []int{0, 1}); err != nil {
		t.Fatal(err)
	}
	blocks := func() int64 {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			t.Fatal(err)
		}
		return st.Blocks * 512
	}
	if got := blocks(); got != int64(small.Size()) {
		t.Errorf("%d of %d bytes are allocated", got, small.Size())
	}
	m, err := NewMemory(fd, small)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Punch(); err != nil {
		t.Fatal(err)
	}
	if got := blocks(); got != int64(small.Slots()) {
		t.Errorf("%d bytes are left, want %d", got, small.Slots())
	}
	if got := m.ring(1)[3]; got != (slot{}) {
		t.Errorf("slot is %v", got)
	}
}

// TestChannelsInMemoryThatIsWritten has a process write in the table of channels: what is followed does not depend on it.
func TestChannelsInMemoryThatIsWritten(t *testing.T) {
	m, err := Open(small)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	const channel, same = 0xc000010000, 0xc000010000 + 1<<(ChannelShift+2*ChannelBits)
	if ChannelIndex(channel) != ChannelIndex(same) || !m.AddChannel(channel) {
		t.Fatal("a channel is not followed")
	}
	at := OffChannels + 8*ChannelIndex(channel)
	m.SetWord(at, 0)
	m.SetWord(OffChannelCount, 99)
	if m.AddChannel(same) {
		t.Error("two channels have the same place")
	}
	m.SetWord(at, same)
	m.RemoveChannel(channel)
	if there, n := m.Word(at), m.Word(OffChannelCount); there != 0 || n != 0 {
		t.Errorf("%#x is left of %d", there, n)
	}
	if !m.AddChannel(same) || m.Word(at) != same || m.Word(OffChannelCount) != 1 {
		t.Error("there is no room for another channel")
	}
}
