//go:build linux

package ring

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// minBits leaves room behind the slack for some changes with all their extras.
	minBits = 8
	// maxCPUs is how many CPUs the time-stamp counter's auxiliary word can tell apart (arch/x86/include/asm/segment.h of Linux).
	maxCPUs = 4096

	seals = unix.F_SEAL_GROW | unix.F_SEAL_SHRINK | unix.F_SEAL_SEAL
)

// Memory is the shared memory as this process has it mapped. It needs no descriptor once it is mapped.
//
// The process can write all of it at any time, so that nothing this side once wrote is read back.
type Memory struct {
	geometry Geometry
	mem      []byte
	slots    unsafe.Pointer
	// base is what Dropped counts from.
	base     uint64
	textBase atomic.Uint64
	// channels is the table of those whose items are recorded, as it is to be, followed how many there are.
	channels [1 << ChannelBits]uint64
	followed uint64
}

func (g Geometry) check() error {
	if g.CPUs == 0 || g.CPUs > maxCPUs || g.Bits < minBits || g.Bits > MaxBits {
		return fmt.Errorf("rings of 2^%d slots for %d CPUs: not within 2^%d to 2^%d for 1 to %d", g.Bits, g.CPUs, minBits, MaxBits, maxCPUs)
	}
	return nil
}

// Format makes an empty memfd a shared memory: it gets its size for good, pages for the rings of the CPUs named, which are charged to this
// process, and the words that tell what it is.
func Format(fd int, g Geometry, cpus []int) error {
	if err := g.check(); err != nil {
		return err
	}
	if err := unix.Ftruncate(fd, int64(g.Size())); err != nil {
		return fmt.Errorf("size shared memory: %w", err)
	}
	if err := Allocate(fd, g, cpus); err != nil {
		return err
	}
	for _, w := range []struct{ offset, value uint64 }{{OffVersion, Version}, {OffCPUs, uint64(g.CPUs)}, {OffBits, uint64(g.Bits)}, {OffMagic, Magic}} {
		if _, err := unix.Pwrite(fd, unsafe.Slice((*byte)(unsafe.Pointer(&w.value)), 8), int64(w.offset)); err != nil {
			return fmt.Errorf("write shared memory: %w", err)
		}
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("seal shared memory: %w", err)
	}
	return nil
}

// Allocate gives a shared memory pages for the rings of the CPUs named, which are charged to this process, where it has none.
func Allocate(fd int, g Geometry, cpus []int) error {
	if err := unix.Fallocate(fd, 0, 0, int64(g.Slots())); err != nil {
		return fmt.Errorf("allocate shared memory: %w", err)
	}
	size := int64(SlotSize) << g.Bits
	for _, cpu := range cpus {
		if uint32(cpu) >= g.CPUs {
			continue
		}
		if err := unix.Fallocate(fd, 0, int64(g.Slots())+int64(cpu)*size, size); err != nil {
			return fmt.Errorf("allocate shared memory: %w", err)
		}
	}
	return nil
}

// NewMemory maps a memfd that Format prepared, now or in an earlier run; it can be closed then. What was dropped up to now does not count.
func NewMemory(fd int, g Geometry) (*Memory, error) {
	if err := g.check(); err != nil {
		return nil, err
	}
	if err := safe(fd, g); err != nil {
		return nil, err
	}
	mem, err := unix.Mmap(fd, 0, int(g.Size()), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map shared memory: %w", err)
	}
	m := &Memory{geometry: g, mem: mem, slots: unsafe.Pointer(&mem[g.Slots()])}
	m.base = m.dropped()
	return m, nil
}

// safe refuses what could give this process a SIGBUS when it is read: a file that can shrink, or whose pages can be unavailable.
func safe(fd int, g Geometry) error {
	var st unix.Stat_t
	var fs unix.Statfs_t
	if err := errors.Join(unix.Fstat(fd, &st), unix.Fstatfs(fd, &fs)); err != nil {
		return fmt.Errorf("examine shared memory: %w", err)
	}
	if uint32(fs.Type) != unix.TMPFS_MAGIC || st.Size != int64(g.Size()) {
		return fmt.Errorf("shared memory of %d bytes on a file system %#x: not of %d on a tmpfs", st.Size, uint32(fs.Type), g.Size())
	}
	if has, err := unix.FcntlInt(uintptr(fd), unix.F_GET_SEALS, 0); err != nil || has&seals != seals {
		return fmt.Errorf("shared memory has seals %#x (%w): its size is not fixed", has, err)
	}
	return nil
}

// Open makes a shared memory that no other process has, with all its pages.
func Open(g Geometry) (*Memory, error) {
	fd, err := unix.MemfdCreate("ring", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("make shared memory: %w", err)
	}
	defer unix.Close(fd)
	cpus := make([]int, g.CPUs)
	for i := range cpus {
		cpus[i] = i
	}
	if err := Format(fd, g, cpus); err != nil {
		return nil, err
	}
	return NewMemory(fd, g)
}

// Geometry returns the size that the memory was mapped with.
func (m *Memory) Geometry() Geometry { return m.geometry }

// Word returns the word of the first page at an offset, which is a multiple of 8.
func (m *Memory) Word(offset uint64) uint64 { return atomic.LoadUint64(m.word(offset)) }

// SetWord sets the word of the first page at an offset, which is a multiple of 8.
func (m *Memory) SetWord(offset, value uint64) { atomic.StoreUint64(m.word(offset), value) }

// Beat lets trampolines write until the time-stamp counter passes the deadline.
func (m *Memory) Beat(deadline uint64) { m.SetWord(OffDeadline, deadline) }

// SetStackSlots sets how many extra slots, at most MaxStackSlots, hold the stack of a goroutine that blocks at the most; 0 leaves stacks out.
func (m *Memory) SetStackSlots(n int) {
	m.SetWord(OffStackSlots, uint64(min(max(n, 0), MaxStackSlots)))
}

// SetWantLabels sets whether changes tell the labels of goroutines that stop running.
func (m *Memory) SetWantLabels(want bool) {
	var word uint64
	if want {
		word = 1
	}
	m.SetWord(OffWantLabels, word)
}

// AddChannel has items of a channel recorded. It reports false if there is no room for it.
func (m *Memory) AddChannel(address uint64) bool {
	at := ChannelIndex(address)
	if there := m.channels[at]; there != 0 {
		return there == address
	}
	m.followed++
	m.setChannel(at, address)
	return true
}

// RemoveChannel ends what AddChannel began.
func (m *Memory) RemoveChannel(address uint64) {
	if at := ChannelIndex(address); address != 0 && m.channels[at] == address {
		m.followed--
		m.setChannel(at, 0)
	}
}

func (m *Memory) setChannel(at, address uint64) {
	m.channels[at] = address
	m.SetWord(OffChannels+8*at, address)
	m.SetWord(OffChannelCount, m.followed)
}

// ClearChannels ends it for all.
func (m *Memory) ClearChannels() {
	m.followed = 0
	for at := range uint64(len(m.channels)) {
		m.setChannel(at, 0)
	}
}

// SetTextBase sets what addresses in stacks are relative to. It is set once, before there are any.
func (m *Memory) SetTextBase(base uint64) {
	m.textBase.Store(base)
	m.SetWord(OffTextBase, base)
}

// Dropped returns how many changes found no room or no reader since the memory was mapped.
func (m *Memory) Dropped() uint64 { return m.dropped() - m.base }

func (m *Memory) dropped() (n uint64) {
	for cpu := range m.geometry.CPUs {
		n += atomic.LoadUint64(m.header(cpu, OffDropped))
	}
	return n
}

// Punch gives the pages of all slots back to the system, for when nobody writes or reads any more. The memory stays mapped.
func (m *Memory) Punch() error {
	if err := unix.Madvise(m.mem[m.geometry.Slots():], unix.MADV_REMOVE); err != nil {
		return fmt.Errorf("give back shared memory: %w", err)
	}
	return nil
}

// Close unmaps the memory, which nobody in this process may use after.
func (m *Memory) Close() error {
	mem := m.mem
	m.mem, m.slots = nil, nil
	if mem == nil {
		return nil
	}
	return unix.Munmap(mem)
}

func (m *Memory) word(offset uint64) *uint64 { return (*uint64)(unsafe.Pointer(&m.mem[offset])) }

func (m *Memory) header(cpu uint32, offset uint64) *uint64 {
	return m.word(OffHeaders + uint64(cpu)*HeaderSize + offset)
}

// slot holds the words of one slot.
type slot [SlotSize / 8]uint64

// copy reads a slot whose last word has been read. Its words are loaded in order, and before whatever is loaded atomically after them, so that the
// head tells whether they were written over meanwhile: arm64 orders ordinary loads in no way.
func (s *slot) copy(last uint64) slot {
	return slot{atomic.LoadUint64(&s[0]), atomic.LoadUint64(&s[1]), atomic.LoadUint64(&s[2]), last}
}

// ring returns the slots of a CPU.
func (m *Memory) ring(cpu uint32) []slot {
	first := unsafe.Add(m.slots, uintptr(cpu)*SlotSize<<m.geometry.Bits)
	return unsafe.Slice((*slot)(first), 1<<m.geometry.Bits)
}
