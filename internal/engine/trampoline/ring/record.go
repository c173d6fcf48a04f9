//go:build linux

package ring

import "cmp"

const pointerMask = 1<<48 - 1

// Record is a change of a goroutine's status, as a trampoline wrote it. All of it is what the process claims.
type Record struct {
	// TSC is when: the time-stamp counter.
	TSC uint64
	// G is the address of the goroutine's runtime.g, GoID its id.
	G, GoID uint64
	// M is the runtime.m that did it, not always that of the goroutine.
	M uint64
	// Old and New are the statuses before and after, without the scan bit.
	Old, New uint8
	// Reason is runtime.waitReason, which only means something if New is waiting.
	Reason uint8
	// Created tells that StartPC, CreationPC and ParentG (m.curg, 0 if there is none) are known.
	Created bool
	// HasLabels tells that Labels, the pointer g.labels, is known; a change to not running that has none when labels are wanted found 0.
	HasLabels bool
	// Uncertain tells that changes were dropped about this time: Old need not be New of the change before.
	Uncertain bool

	StartPC, CreationPC, ParentG, Labels uint64
	// Channel is the hchan by which a goroutine was made runnable that waited for channels, 0 if it is not known, and BufferSize how many items
	// that can hold.
	Channel, BufferSize uint64
	// Item is 0 for a change. Else it is none, but G has Sent to, Received from or Taken out of Channel, where the next item goes to SendX and comes
	// from RecvX; of Taken, Sender is who waited to send, and only the lower 16 bits of RecvX are known, before.
	Item         uint8
	SendX, RecvX uint32
	Sender       uint64
	// Stack holds the return addresses of a goroutine that blocks, or if it is Created of its creator, innermost first, 0 for one that could not be
	// told. It is valid until the next record.
	Stack []uint64
}

// change is a head slot as it was copied, in half a cache line: with how many extra slots were copied, in place of how many the process
// claims, and where the first of them is among those of its ring, in place of the commit bits.
type change struct {
	tsc, who, what, where uint64
}

func changeOf(s slot) change { return change{tsc: s[0], who: s[1], what: s[2], where: s[3]} }

// maxExtraSlots is how many extra slots of a ring's changes there can be for all to be found.
const maxExtraSlots = 1 << ShiftM

func (c *change) extras() (first, n uint64) {
	return c.where % maxExtraSlots, c.who >> ShiftExtras & 15
}

func (c *change) setExtras(first, n int) {
	c.where = c.where&^(maxExtraSlots-1) | uint64(first)
	c.who = c.who&^(15<<ShiftExtras) | uint64(n)<<ShiftExtras
}

// decode makes the reader's record that of a change.
func (r *Reader) decode(c *change, extras []slot) {
	x := &r.record
	x.TSC = c.tsc
	x.G, x.Old, x.New = c.who&pointerMask, uint8(c.who>>ShiftOld)&15, uint8(c.who>>ShiftNew)&15
	x.GoID, x.Reason = c.what&(1<<ShiftReason-1), uint8(c.what>>ShiftReason)
	x.M = c.where >> ShiftM
	x.Item = 0
	if c.who>>ShiftKinds == KindItem {
		x.decodeItem(c)
		return
	}
	x.Created, x.HasLabels, x.Channel, x.Stack = false, false, 0, x.Stack[:0]
	if first, n := c.extras(); n != 0 {
		x.decodeExtras(uint8(c.who>>ShiftKinds), extras[first:][:n], r.memory.textBase.Load())
	}
}

// noOperation is what a record tells of an item to which nothing happens, which no trampoline writes: it is not to be taken for a change.
const noOperation = 0xff

func (x *Record) decodeItem(c *change) {
	x.Item, x.Channel, x.G = cmp.Or(x.Old, noOperation), x.G, x.M
	if x.Item == Taken {
		x.Sender, x.RecvX = c.what&pointerMask, uint32(c.what>>ShiftTakenX)
		return
	}
	x.SendX, x.RecvX = uint32(c.what), uint32(c.what>>ShiftRecvX)
}

func (x *Record) decodeExtras(kinds uint8, extras []slot, textBase uint64) {
	if kinds&KindCreation != 0 {
		s := extras[0]
		extras = extras[1:]
		x.Created, x.StartPC, x.CreationPC, x.ParentG = true, s[0], s[1], s[3]>>ShiftM
		x.HasLabels, x.Labels = true, s[2]
	}
	if kinds&KindLabels != 0 && len(extras) > 0 {
		x.HasLabels, x.Labels = true, extras[0][0]
		extras = extras[1:]
	}
	if kinds&KindChannel != 0 && len(extras) > 0 {
		x.Channel, x.BufferSize = extras[0][0], extras[0][1]
		extras = extras[1:]
	}
	for i := range extras {
		if !x.decodeStack(&extras[i], textBase) {
			return
		}
	}
}

// decodeStack appends the addresses in a slot; false after the last.
func (x *Record) decodeStack(s *slot, textBase uint64) bool {
	for _, pair := range s[:3] {
		for _, relative := range [2]uint32{uint32(pair), uint32(pair >> 32)} {
			switch relative {
			case 0:
				return false
			case NoAddress:
				x.Stack = append(x.Stack, 0)
			default:
				x.Stack = append(x.Stack, textBase+uint64(relative))
			}
		}
	}
	return true
}
