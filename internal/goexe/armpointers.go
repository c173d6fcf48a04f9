package goexe

import (
	"errors"
	"maps"

	"golang.org/x/arch/arm64/arm64asm"
)

// An atomic instruction of arm64 takes a bare pointer, which the compiler may have made far away and kept in the stack frame since.
// pointers tells of which places it is known that they hold the address of a g's status: of registers by their numbers, of places in
// the frame by their distance from the stack pointer, plus armFrame. What is not in it holds something else.
type pointers map[int]certainty

type certainty int

const (
	surely  certainty = iota + 1
	perhaps           // by one way through the code, and not by another
)

const (
	armFrame        = 32
	armStackPointer = 31
	armWord         = 8
)

// Limits against code that no compiler makes: how often each instruction is looked at on average, and how many places hold such a pointer.
const (
	maxVisits = 16
	maxPlaces = 256
)

var errComplicated = errors.New("the code is more complicated than any that a compiler makes")

// pointersIn returns what is known at each instruction of a function, nil where no way leads.
func pointersIn(code []arm, atomicstatus int64) ([]pointers, error) {
	at := make([]pointers, len(code))
	if len(code) == 0 {
		return at, nil
	}
	at[0] = pointers{}
	visits := 0
	for todo := []int{0}; len(todo) > 0; {
		i := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if visits++; visits > maxVisits*len(code) || len(at[i]) > maxPlaces {
			return nil, errComplicated
		}
		after := maps.Clone(at[i])
		after.pass(code[i], atomicstatus)
		for _, next := range successors(code, i) {
			if at[next] == nil {
				at[next] = maps.Clone(after)
			} else if !at[next].join(after) {
				continue
			}
			todo = append(todo, next)
		}
	}
	return at, nil
}

// successors returns the indices of the instructions that may follow one.
func successors(code []arm, i int) (next []int) {
	in := code[i]
	if to, ok := in.target(); ok && in.Op != arm64asm.BL && to >= code[0].address && to <= code[len(code)-1].address {
		next = append(next, int(to-code[0].address)/armSize)
	}
	if ends := in.isPlainJump() || in.Op == arm64asm.RET || in.Op == arm64asm.BR || in.Op == arm64asm.BRK; !ends && i+1 < len(code) {
		next = append(next, i+1)
	}
	return next
}

// join takes in what is known by another way to the same instruction, and tells whether that changes anything.
func (p pointers) join(other pointers) (changed bool) {
	for place, c := range p {
		if c == surely && other[place] != surely {
			p[place], changed = perhaps, true
		}
	}
	for place := range other {
		if p[place] == 0 {
			p[place], changed = perhaps, true
		}
	}
	return changed
}

// set says what a place holds now.
func (p pointers) set(place int, c certainty) {
	if c == 0 {
		delete(p, place)
	} else {
		p[place] = c
	}
}

// pass makes of what is known before an instruction what is known after it.
func (p pointers) pass(in arm, atomicstatus int64) {
	to, _, number, isSum := in.added()
	first, _ := in.register(0)
	second, isCopy := in.register(1)
	access, isAccess := in.frameAccess()
	switch {
	case isSum && number == atomicstatus:
		p.set(int(to), surely)
	case in.Op == arm64asm.MOV && isCopy:
		p.set(int(first), p[int(second)])
	case isAccess:
		p.move(access)
	case in.Op == arm64asm.BL, in.Op == arm64asm.BLR:
		maps.DeleteFunc(p, func(place int, _ certainty) bool { return place < armFrame }) // no register survives a call
	default:
		for r := range uint8(armStackPointer) {
			if p[int(r)] != 0 && in.overwrites(r) {
				p.forget(in, r)
			}
		}
	}
}

// forget says that an instruction has changed a register: certainly, if it is one that is known.
func (p pointers) forget(in arm, r uint8) {
	if first, ok := in.register(0); ok && first == r && in.Op != 0 {
		delete(p, int(r))
	} else if in.Enc&31 == uint32(r) || in.Enc>>16&31 == uint32(r) { // where encodings have the registers that they may write
		p[int(r)] = perhaps
	}
}

// frameAccess is a load of registers from the stack frame, or a store into it.
type frameAccess struct {
	place     int // of the first register, in bytes above the stack pointer
	load      bool
	whole     bool // 64 bits, as pointers have
	registers []uint8
}

// Encodings of loads and stores of one register or two, with a constant distance from a pointer.
const (
	armSingleMask, armSingle = 0x3f000000, 0x39000000
	armPairMask, armPair     = 0x7f800000, 0x29000000
)

func (in arm) frameAccess() (frameAccess, bool) {
	if in.pointer() != armStackPointer {
		return frameAccess{}, false
	}
	switch {
	case in.Enc&armSingleMask == armSingle:
		size := in.Enc >> 30
		return frameAccess{
			place: int(in.Enc>>10&0xfff) << size, load: in.Enc>>22&3 != 0, whole: size == 3, registers: []uint8{uint8(in.Enc & 31)},
		}, true
	case in.Enc&armPairMask == armPair:
		whole := in.Enc>>31 == 1
		place := int(int32(in.Enc<<10)>>25) * armWord
		if !whole {
			place /= 2
		}
		return frameAccess{
			place: place, load: in.Enc>>22&1 == 1, whole: whole, registers: []uint8{uint8(in.Enc & 31), uint8(in.Enc >> 10 & 31)},
		}, true
	}
	return frameAccess{}, false
}

// move takes in a load or a store.
func (p pointers) move(a frameAccess) {
	for i, r := range a.registers {
		place := armFrame + a.place + i*armWord
		switch {
		case a.load && a.whole:
			p.set(int(r), p[place])
		case a.load:
			p.set(int(r), 0)
		case a.whole:
			p.set(place, p[int(r)])
		default: // a part of what is there
			p.set(place&^(armWord-1), 0)
		}
	}
}
