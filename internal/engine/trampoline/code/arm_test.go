package code

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/arch/arm64/arm64asm"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

// armInstruction is one of arm64; package arm64asm does not know ldadd.
func armInstruction(t *testing.T, code []byte, at uint64) string {
	const mask, ldadd = 0xffe0fc00, 0xf8200000
	word := binary.LittleEndian.Uint32(code)
	if word&mask == ldadd {
		return strings.ReplaceAll(fmt.Sprintf("ldadd x%d, x%d, [x%d]", word>>16&31, word&31, word>>5&31), "x31", "xzr")
	}
	in, err := arm64asm.Decode(code)
	require.NoError(t, err, "%08x", word)
	for _, a := range in.Args {
		if rel, ok := a.(arm64asm.PCRel); ok {
			return strings.Replace(arm64asm.GNUSyntax(in), fmt.Sprintf(".+%#x", uint64(rel)), fmt.Sprintf("%#x", at+uint64(rel)), 1)
		}
	}
	return arm64asm.GNUSyntax(in)
}

func armListing(t *testing.T, code []byte, at uint64) (lines []string) {
	for i := 0; i < len(code); i += 4 {
		lines = append(lines, armInstruction(t, code[i:], at+uint64(i)))
	}
	return lines
}

// Each line is what one call of the assembler has to write, in GNU's syntax.
func TestARMInstructions(t *testing.T) {
	for want, write := range map[string]func(a *armAssembler){
		"mov x3, #0x1234": func(a *armAssembler) { a.set(3, 0x1234) },
		"mov x3, #0x7c15; movk x3, #0x7f4a, lsl #16; movk x3, #0x79b9, lsl #32; movk x3, #0x9e37, lsl #48": func(a *armAssembler) { a.set(3, golden) },
		"mov x3, #0x0; movk x3, #0x7f, lsl #32": func(a *armAssembler) { a.set(3, 0x7f00000000) },
		"mov x20, x9":                           func(a *armAssembler) { a.mov(20, 9) },
		"sub x1, x2, x3":                        func(a *armAssembler) { a.sub(1, 2, 3) },
		"and x1, x2, x3":                        func(a *armAssembler) { a.and(1, 2, 3) },
		"mul x1, x2, x3":                        func(a *armAssembler) { a.mul(1, 2, 3) },
		"lsr x1, x2, x3":                        func(a *armAssembler) { a.lsr(1, 2, 3) },
		"cmp x2, x3":                            func(a *armAssembler) { a.cmp(2, 3) },
		"cmp x2, #0x18":                         func(a *armAssembler) { a.cmpImm(2, 24) },
		"add x1, x2, x3, lsl #21":               func(a *armAssembler) { a.add(1, 2, 3, 21) },
		"add x1, x2, x3":                        func(a *armAssembler) { a.add(1, 2, 3, 0) },
		"orr x1, x2, x3, lsl #48":               func(a *armAssembler) { a.orr(1, 2, 3, 48) },
		"add x1, x2, #0x20":                     func(a *armAssembler) { a.addImm(1, 2, 32) },
		"add x1, x2, #0x4, lsl #12":             func(a *armAssembler) { a.addImm(1, 2, 0x4000) },
		"sub x1, x2, #0x90":                     func(a *armAssembler) { a.subImm(1, 2, 144) },
		"ubfx x1, x2, #4, #4":                   func(a *armAssembler) { a.ubfx(1, 2, 4, 4) },
		"lsr x1, x2, #58":                       func(a *armAssembler) { a.ubfx(1, 2, 58, 6) },
		"bfi x1, x2, #4, #4":                    func(a *armAssembler) { a.bfi(1, 2, 4, 4) },
		"csel x1, xzr, x3, hi":                  func(a *armAssembler) { a.csel(1, xzr, 3, armAbove) },
		"csel x1, x2, x3, ls":                   func(a *armAssembler) { a.csel(1, 2, 3, armBelowEqual) },
		"ldr x1, [x28,#48]":                     func(a *armAssembler) { a.ldr(1, x28, 48) },
		"ldrb w1, [x2,#176]":                    func(a *armAssembler) { a.ldrb(1, 2, 176) },
		"str x1, [x2,#8]":                       func(a *armAssembler) { a.str(1, 2, 8) },
		"str xzr, [x2,#16]":                     func(a *armAssembler) { a.str(xzr, 2, 16) },
		"str w1, [x2]":                          func(a *armAssembler) { a.str32(1, 2, 0) },
		"stlr x1, [x2]":                         func(a *armAssembler) { a.stlr(1, 2) },
		"ldadd x1, x2, [x3]":                    func(a *armAssembler) { a.ldadd(1, 2, 3) },
		"ldadd x1, xzr, [x3]":                   func(a *armAssembler) { a.ldadd(1, xzr, 3) },
		"isb":                                   func(a *armAssembler) { a.isb() },
		"mrs x4, s3_3_c14_c0_2":                 func(a *armAssembler) { a.counter(4) },
		"b 0x2000":                              func(a *armAssembler) { a.bAway(0x2000) },
		"b 0xff0":                               func(a *armAssembler) { a.bAway(0xff0) },
		"isb; b 0x1000":                         func(a *armAssembler) { a.label("l"); a.isb(); a.b("l") },
		"b.hi 0x1008; isb; isb":                 func(a *armAssembler) { a.bcc(armAbove, "l"); a.isb(); a.label("l"); a.isb() },
		"isb; b.cs 0x1000":                      func(a *armAssembler) { a.label("l"); a.isb(); a.bcc(armAboveEqual, "l") },
		"cbz x1, 0x1008; cbnz x2, 0x1008; isb":  func(a *armAssembler) { a.cbz(1, "l"); a.cbnz(2, "l"); a.label("l"); a.isb() },
		"tbz x1, #61, 0x1008; tbnz w2, #0, 0x1000; isb": func(a *armAssembler) {
			a.label("k")
			a.tbz(1, 61, "l")
			a.tbnz(2, 0, "k")
			a.label("l")
			a.isb()
		},
	} {
		a := newARMAssembler(0x1000)
		write(a)
		a.resolve()
		require.NoError(t, a.err)
		require.Equal(t, want, strings.Join(armListing(t, a.code, a.at), "; "), "%x", a.code)
	}
}

func TestMistakesOfTheARMAssemblersUser(t *testing.T) {
	for want, write := range map[string]func(a *armAssembler){
		"there is no label x":                               func(a *armAssembler) { a.b("x") },
		"0x1001 is no immediate":                            func(a *armAssembler) { a.addImm(1, 2, 0x1001) },
		"0x9 is no offset":                                  func(a *armAssembler) { a.ldr(1, 2, 9) },
		"0x8000 is no offset":                               func(a *armAssembler) { a.ldr(1, 2, 0x8000) },
		"a jump of 0x8000000 bytes does not reach that far": func(a *armAssembler) { a.bAway(0x8001000) },
		"a jump of 0x2 bytes does not reach that far":       func(a *armAssembler) { a.bAway(0x1002) },
	} {
		a := newARMAssembler(0x1000)
		write(a)
		a.resolve()
		require.EqualError(t, a.err, want)
	}
}

// armCall and armSwap are patches as goexe finds them in Go 1.26: of casgstatus, and of reentersyscall with few registers.
func armCall() goexe.Patch {
	return goexe.Patch{Kind: goexe.Call, Function: "casgstatus", Code: []byte{0xe0, 0x3f, 0x00, 0xf9}, Free: 0x3f8fff8} // str x0, [sp,#120]
}

func armSwap() goexe.Patch {
	return goexe.Patch{Kind: goexe.Swap, Function: "swap", Code: []byte{0xe9, 0x17, 0x9f, 0x9a}, G: 6, Above: 144, New: 8, Old: 7, Result: 9, Free: 0xbcb0000} // cset x9, eq
}

func armOptions(t *testing.T, release string) Options {
	return Options{Data: 0x7f0000000000, Geometry: ring.Geometry{CPUs: 64, Bits: 16}, Layout: layout(t, release), ChannelReasons: 1<<9 | 1<<14 | 1<<15}
}

// The trampolines are in testdata as people read them.
func TestARMTrampolines(t *testing.T) {
	for _, release := range []string{"go1.26.8", "go1.20.14"} {
		call, swap := armCall(), armSwap()
		call.Address, swap.Address = 0x400008, 0x401000
		text, jumps, err := AssembleARM64(armOptions(t, release), exampleAt, 0x1000, []goexe.Patch{call, swap})
		require.NoError(t, err)
		require.Equal(t, []string{"b 0x600000"}, armListing(t, jumps[0].Code, jumps[0].Address))
		require.Equal(t, uint64(0x401008), jumps[0].Address)
		require.Equal(t, call.Code, jumps[0].Original)
		second := armInstruction(t, jumps[1].Code, jumps[1].Address)
		got := ""
		for i, line := range armListing(t, text, exampleAt) {
			at := fmt.Sprintf("%#x", exampleAt+4*i)
			if second == "b "+at {
				got += "\n"
			}
			got += at[2:] + "  " + line + "\n"
		}
		file := filepath.Join("testdata", "arm64-"+release+".txt")
		if *update {
			require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(want), got, "if this is as it should be, go test -update")
	}
}

// Only registers that hold nothing are written, and besides the patch's instruction nothing is stored but by them.
func TestARMTrampolinesWriteFreeRegistersOnly(t *testing.T) {
	for _, p := range []goexe.Patch{armCall(), armSwap()} {
		text, _, err := AssembleARM64(armOptions(t, "go1.20.14"), exampleAt, 0, []goexe.Patch{p})
		require.NoError(t, err)
		for i := 4; i < len(text); i += 4 { // the first is the patch's own
			line := armInstruction(t, text[i:], 0)
			op, rest, _ := strings.Cut(line, " ")
			var written string
			switch {
			case strings.HasPrefix(op, "b"), strings.HasPrefix(op, "cb"), strings.HasPrefix(op, "tb"), op == "cmp", op == "isb":
				if op != "bfi" {
					continue
				}
				written, _, _ = strings.Cut(rest, ",")
			case strings.HasPrefix(op, "st"):
				_, written, _ = strings.Cut(rest, "[")
			case op == "ldadd":
				written = strings.Split(rest, ", ")[1]
			default:
				written, _, _ = strings.Cut(rest, ",")
			}
			if written == "xzr" {
				continue
			}
			var r uint
			_, err := fmt.Sscanf(written[1:], "%d", &r)
			require.NoError(t, err, line)
			require.NotZero(t, p.Free>>r&1, line)
		}
	}
}

func TestWhatCannotBeAssembledForARM(t *testing.T) {
	for want, change := range map[string]func(*Options, *goexe.Patch, *uint64){
		"0 CPUs":                       func(o *Options, _ *goexe.Patch, _ *uint64) { o.Geometry.CPUs = 0 },
		"1 rings are no power of two":  func(o *Options, _ *goexe.Patch, _ *uint64) { o.Geometry.CPUs = 1 },
		"12 rings are no power of two": func(o *Options, _ *goexe.Patch, _ *uint64) { o.Geometry.CPUs = 12 },
		"casgstatus at 0x0: 7 registers hold nothing, 8 are needed": func(_ *Options, p *goexe.Patch, _ *uint64) { p.Free = 0x7f },
		"casgstatus at 0x0: no instruction of arm64":                func(_ *Options, p *goexe.Patch, _ *uint64) { p.Code = spill },
		"does not reach": func(_ *Options, _ *goexe.Patch, at *uint64) { *at = 1 << 27 },
	} {
		o, p, at := armOptions(t, "go1.26.8"), armCall(), uint64(0)
		change(&o, &p, &at)
		_, _, err := AssembleARM64(o, at, 0, []goexe.Patch{p})
		require.ErrorContains(t, err, want)
	}
}
