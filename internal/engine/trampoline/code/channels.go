package code

import (
	"errors"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

// operations are what records call what patches see.
var operations = map[goexe.Kind]uint64{goexe.Sent: ring.Sent, goexe.Received: ring.Received, goexe.Taken: ring.Taken}

// takenAlive are the registers that hold what recv goes on with at a Taken, kept where they are free; RBX is not used.
var takenAlive = [...][2]reg{{rax, r10}, {rcx, r11}, {rsi, r12}, {rdi, r13}}

// item writes the trampoline of an instruction that sees an item of a channel, at which channel points: nothing happens unless it is one of those
// that are looked for. At a Taken, RAX is the channel; only RDX, R8 to R13 and the flags are dead. Elsewhere all is that is not Go's own.
func (t *writer) item(p goexe.Patch, back uint64) error {
	channel := reg(p.G)
	if channel > r15 || channel == rsp || channel == rbp || channel == current {
		return errors.New("the instruction's register is not possible")
	}
	if p.Kind != goexe.Taken {
		if channel != rdi {
			t.mov(rdi, channel)
		}
		channel = rdi
	}
	t.findChannel(channel)
	if p.Kind == goexe.Taken {
		for _, r := range takenAlive {
			t.mov(r[1], r[0])
		}
		t.mov(rdi, channel)
	}
	t.clock()
	t.findHeader()
	t.cmp(tsc, mem{data, ring.OffDeadline})
	t.jcc(above, "dropped")
	t.set(change, operations[p.Kind]|ring.KindItem*aKind)
	t.reserve(0)
	t.head()
	t.positions(p.Kind)
	t.store(mem{slot, 16}, rdx)
	t.mov(rdx, current)
	t.lastWord()
	t.label("restore")
	if p.Kind == goexe.Taken {
		for _, r := range takenAlive {
			t.mov(r[0], r[1])
		}
	}
	t.label("done")
	t.emit(p.Code...)
	t.jmpAway(back)
	t.exit = func() { t.jmp("restore") }
	t.label("noRing")
	t.mov(header, data)
	t.drop()
	t.resolve()
	return nil
}

// findChannel goes on only if a channel is looked for. R8, R9 and RDX are free.
func (t *writer) findChannel(channel reg) {
	t.set(r8, t.Data)
	t.mov(rdx, mem{r8, ring.OffChannelCount})
	t.test(rdx, rdx)
	t.jcc(zero, "done")
	t.mov(rdx, channel)
	t.shr(rdx, ring.ChannelShift)
	t.mov(r9, channel)
	t.shr(r9, ring.ChannelShift+ring.ChannelBits)
	t.add(rdx, r9)
	t.and(edx, imm(1<<ring.ChannelBits-1))
	t.shl(rdx, 3)
	t.add(rdx, r8)
	t.cmp(channel, mem{rdx, ring.OffChannels})
	t.jcc(notEqual, "done")
}

// positions puts into RDX where in the channel's buffer the next items go to and come from, or at a Taken who sends.
func (t *writer) positions(kind goexe.Kind) {
	l := t.Layout.Hchan
	if kind == goexe.Taken {
		t.mov(rdx, mem{rbx, 0}) // sudog.g
		t.mov(ecx, mem{rdi, int32(l.RecvX)})
		t.shl(rcx, ring.ShiftTakenX)
	} else {
		t.mov(edx, mem{rdi, int32(l.SendX)})
		t.mov(ecx, mem{rdi, int32(l.RecvX)})
		t.shl(rcx, ring.ShiftRecvX)
	}
	t.or(rdx, rcx)
}
