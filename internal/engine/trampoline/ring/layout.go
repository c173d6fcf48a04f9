// Package ring is the memory that a patched process shares with this one: a ring of records for each CPU, which the process's trampolines
// write and a Reader reads. What the process can write is never trusted.
//
// On arm64 a ring is not that of a CPU but of some threads, and the time-stamp counter is the virtual counter of the generic timer.
package ring

// The memory begins with a page of words for all CPUs, written by this side only, at these offsets in bytes.
const (
	// OffMagic and OffVersion tell what the memory is.
	OffMagic   = 0x00
	OffVersion = 0x08
	// OffCode and OffCodeSize tell where the process has the trampolines, OffData where it has this memory.
	OffCode     = 0x10
	OffCodeSize = 0x18
	OffData     = 0x20
	// OffCPUs and OffBits hold the Geometry.
	OffCPUs = 0x28
	OffBits = 0x30
	// OffDeadline is the time-stamp counter after which nobody is taken to read: trampolines then only count what they drop.
	OffDeadline = 0x40
	// OffStackSlots is how many extra slots hold the stack of a goroutine that blocks, or creates another, at the most; 0 leaves it out.
	OffStackSlots = 0x48
	// OffWantLabels is not 0 if changes tell the labels of goroutines that stop running.
	OffWantLabels = 0x50
	// OffTextBase is what return addresses in stacks are told relative to.
	OffTextBase = 0x58
	// OffChannelCount is how many channels are looked for, and OffChannels where a table of their addresses begins: each is in the place that
	// ChannelIndex tells.
	OffChannelCount = 0x68
	OffChannels     = 0x800
	ChannelBits     = 8
	// ChannelShift drops bits that are the same in addresses of channels.
	ChannelShift = 5
	// OffPatchCount is how many instructions are, or may be, replaced by jumps, and OffPatches where a word for each begins: its address and,
	// from PatchLengthShift on, its length. Whoever finds the memory of another version can put them back by it, as the executable has them.
	OffPatchCount = 0x60
	OffPatches    = 0x100
	// MaxPatches is how many there is room for.
	MaxPatches       = (OffChannels - OffPatches) / 8
	PatchLengthShift = 48
)

// Behind it each CPU has a header of HeaderSize bytes, from OffHeaders on, with these words in cache lines of their own.
const (
	OffHeaders = 0x1000
	HeaderSize = 0x100
	// OffHead is the index of the next slot, which the process reserves by adding to it.
	OffHead = 0x00
	// OffLimit is the index from which there is no room, which the reader moves on.
	OffLimit = 0x40
	// OffDropped counts the changes that found no room or no reader.
	OffDropped = 0x80
)

const (
	// Magic is what OffMagic holds, Version what OffVersion does.
	Magic   = 0x31706d6172746f67 // "gotramp1"
	Version = 2
	// SlotSize is the size of a slot, four words, in bytes.
	SlotSize = 32
	// MaxBits bounds the logarithm of how many slots a ring has.
	MaxBits = 20
)

// A change takes a head slot, and up to MaxExtras extra slots right behind it, reserved together. These are their words; lower bits come first.
//
//	head      0: time-stamp counter   1: g (48), old status (4), new status (4), extras (4), kinds (4)   2: goid (56), wait reason (8)   3: commit (16), m (48)
//	creation  0: g.startpc            1: g.gopc                                                          2: g.labels                     3: commit (16), m.curg (48)
//	labels    0: g.labels             1, 2: nothing                                                                                      3: commit (16), nothing
//	item      0: time-stamp counter   1: hchan (48), Sent, Received or Taken (4), 0 (4), 0 (4), kinds (4)   2: hchan.sendx (32), recvx (32)  3: commit (16), g (48)
//	channel   0: sudog.c              1: hchan.dataqsiz                                                  2: nothing                      3: commit (16), nothing
//	stack     0 to 2: two return addresses each, relative to the text base, innermost first                                             3: commit (16), nothing
//
// An item is a head alone: the goroutine that runs has put an item into a channel's buffer, or taken one out of it, with the positions as they are
// then. If it takes one that another waits to send, word 2 has that one's g (48) and the lower bits of recvx (16) as it was before.
//
// A creation comes before labels, labels before stacks; the stack behind a creation is that of m.curg, which creates. A channel, by which a goroutine
// was woken, comes alone. The store of the last word commits a slot; the head is committed last of all.
const (
	ShiftOld    = 48
	ShiftNew    = 52
	ShiftExtras = 56
	ShiftKinds  = 60
	ShiftReason = 56
	// ShiftM is where the m, or m.curg, begins in a slot's last word.
	ShiftM = 16

	// KindCreation, KindLabels and KindChannel tell that there is such an extra slot.
	KindCreation = 1
	KindLabels   = 2
	KindChannel  = 4
	// KindItem tells that it is no change, but an item of a channel.
	KindItem = 8
	// Sent, Received and Taken are what becomes of it.
	Sent     = 1
	Received = 2
	Taken    = 3
	// ShiftRecvX and ShiftTakenX are where hchan.recvx begins.
	ShiftRecvX  = 32
	ShiftTakenX = 48

	MaxExtras = 13
	// MaxStackSlots is how many of them a stack can take, with AddressesPerSlot each.
	MaxStackSlots    = 11
	AddressesPerSlot = 6
	// NoAddress is an address in a stack that cannot be told relative to the text base.
	NoAddress = 0xffffffff

	// Committed is set in the commit bits of each slot that was ever written, Extra of extra slots; the LapMask bits are those of the lap,
	// index >> bits.
	Committed = 0x4000
	Extra     = 0x8000
	LapMask   = 0x3fff
)

// Geometry is the size of the memory.
type Geometry struct {
	// CPUs is how many rings there are, Bits the logarithm of how many slots one has.
	CPUs, Bits uint32
}

const pageSize = 4096

// ChannelIndex returns the place of a channel in the table.
func ChannelIndex(address uint64) uint64 {
	return (address>>ChannelShift + address>>(ChannelShift+ChannelBits)) & (1<<ChannelBits - 1)
}

// Slots returns the offset of the first slot of the first ring; the rings follow each other.
func (g Geometry) Slots() uint64 {
	return (OffHeaders + uint64(g.CPUs)*HeaderSize + pageSize - 1) &^ (pageSize - 1)
}

// Size returns how many bytes the memory has.
func (g Geometry) Size() uint64 { return g.Slots() + uint64(g.CPUs)*SlotSize<<g.Bits }
