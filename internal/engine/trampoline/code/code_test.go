package code

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

var update = flag.Bool("update", false, "write the trampolines in testdata anew")

// layout is that of a release.
func layout(t *testing.T, release string) *goexe.Layout {
	b, err := os.ReadFile("../../../goexe/layouts.json")
	require.NoError(t, err)
	var all []goexe.Layout
	require.NoError(t, json.Unmarshal(b, &all))
	for _, l := range all {
		if l.GoVersion == release {
			return &l
		}
	}
	require.FailNow(t, "no layout", release)
	return nil
}

// spill is what casgstatus has behind its prologue, but below the stack pointer, as the tests' function has no frame.
var spill = []byte{0x48, 0x89, 0x44, 0x24, 0xf8}

// callPatch is a Call, and the function that it is in.
func callPatch() (goexe.Patch, []byte) {
	return goexe.Patch{Kind: goexe.Call, Function: "casgstatus", Code: spill, Becomes: 0xff}, append(append([]byte{}, spill...), ret)
}

// swapPatch is a Swap with these registers, and the function that it is in.
func swapPatch(l *goexe.Layout, gp, new reg) (goexe.Patch, []byte) {
	a := newAssembler(0)
	a.emit(lockPrefix)
	a.encode(false, byte(new), mem{gp, int32(l.G.AtomicStatus)}, 0x0f, 0xb1)
	p := goexe.Patch{Kind: goexe.Swap, Function: "swap", Code: a.code, G: uint8(gp), New: uint8(new), Becomes: 0xff}
	return p, append(append([]byte{}, a.code...), ret)
}

// itemPatch is one that sees an item of a channel, and the function that it is in.
func itemPatch(kind goexe.Kind, channel reg) (goexe.Patch, []byte) {
	load := []byte{0x48, 0x8b, 0x44, 0x24, 0xf8}
	if kind == goexe.Taken {
		load = spill
	}
	return goexe.Patch{Kind: kind, Function: kind.String(), Code: load, G: uint8(channel), Becomes: 0xff}, append(append([]byte{}, load...), ret)
}

// example is text as the golden files have it.
type example struct {
	Options
	name    string
	patches []goexe.Patch
	text    []byte
	jumps   []Jump
}

const exampleAt = 0x600000

func examples(t *testing.T) (all []example) {
	for _, e := range []example{
		{name: "go1.26-rdpid", Options: Options{Layout: layout(t, "go1.26.8"), ChannelReasons: 1<<9 | 1<<14 | 1<<15, RDPID: true}},
		{name: "go1.20-rdtscp", Options: Options{Layout: layout(t, "go1.20.14"), ChannelReasons: 1<<9 | 1<<14 | 1<<15}},
	} {
		e.Data, e.Geometry = 0x7f0000000000, ring.Geometry{CPUs: 4, Bits: 16}
		call, _ := callPatch()
		call.Address = 0x400008
		entry, _ := swapPatch(e.Layout, r14, rcx)
		entry.Address = 0x401000
		crossed, _ := swapPatch(e.Layout, rsi, rdi)
		crossed.Address = 0x402000
		sent, _ := itemPatch(goexe.Sent, rdx)
		sent.Address = 0x403000
		taken, _ := itemPatch(goexe.Taken, rax)
		taken.Address = 0x404000
		e.patches = []goexe.Patch{call, entry, crossed, sent, taken}
		var err error
		e.text, e.jumps, err = Assemble(e.Options, exampleAt, 0x1000, e.patches)
		require.NoError(t, err)
		all = append(all, e)
	}
	return all
}

// entry is where the trampoline of a jump begins.
func (e example) entry(t *testing.T, jump int) uint64 {
	to, ok := disassemble(t, e.jumps[jump].Code, e.jumps[jump].Address)[0].target()
	require.True(t, ok)
	return to
}

func (e example) listing(t *testing.T) string {
	var b strings.Builder
	heads := map[uint64]string{exampleAt: "what all swaps share for extra slots"}
	for i, j := range e.jumps {
		heads[e.entry(t, i)] = fmt.Sprintf("%s at %#x: % x instead of % x", e.patches[i].Function, j.Address, j.Code, j.Original)
	}
	for _, in := range disassemble(t, e.text, exampleAt) {
		if head, ok := heads[in.at]; ok {
			fmt.Fprintf(&b, "\n%s\n", head)
		}
		fmt.Fprintf(&b, "%x  %s\n", in.at, in)
	}
	return b.String()
}

// The trampolines are in testdata as people read them.
func TestTrampolines(t *testing.T) {
	for _, e := range examples(t) {
		file, got := filepath.Join("testdata", e.name+".txt"), e.listing(t)
		if *update {
			require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
		}
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(want), got, "if this is as it should be, go test -update")
	}
}

func TestJumpsTakeThePlaceOfWholeInstructions(t *testing.T) {
	for _, e := range examples(t) {
		for i, j := range e.jumps {
			require.Equal(t, e.patches[i].Address+0x1000, j.Address)
			require.Equal(t, e.patches[i].Code, j.Original)
			require.Len(t, j.Code, len(j.Original))
			require.Zero(t, e.entry(t, i)%alignment)
		}
	}
}

func TestWhatCannotBeAssembled(t *testing.T) {
	l := layout(t, "go1.26.8")
	call, _ := callPatch()
	swap, _ := swapPatch(l, r14, rcx)
	good := Options{Data: 1 << 32, Geometry: ring.Geometry{CPUs: 4, Bits: 16}, Layout: l}
	for want, c := range map[string]struct {
		change func(*Options)
		at     uint64
		patch  goexe.Patch
		n      int
	}{
		"0 CPUs":     {func(o *Options) { o.Geometry.CPUs = 0 }, 0, call, 1},
		"4097 CPUs":  {func(o *Options) { o.Geometry.CPUs = 4097 }, 0, call, 1},
		"2^3 slots":  {func(o *Options) { o.Geometry.Bits = 3 }, 0, call, 1},
		"2^21 slots": {func(o *Options) { o.Geometry.Bits = 21 }, 0, call, 1},
		"slots at 0x100000010 would not be aligned": {func(o *Options) { o.Data += 16 }, 0, call, 1},
		"does not reach":       {func(*Options) {}, 0x80001000, call, 1},
		"does not reach 0x8":   {func(*Options) {}, 1 << 47, swap, 1},
		"100 trampolines take": {func(*Options) {}, 0, swap, 100},
		"in the place of 4":    {func(*Options) {}, 0, goexe.Patch{Kind: goexe.Call, Code: spill[:4]}, 1},
		"swap at 0x0: the instruction's registers are not possible": {func(*Options) {}, 0, goexe.Patch{Kind: goexe.Swap, Function: "swap", Code: swap.Code, G: 4, New: 1}, 1},
		"unknown kind 7": {func(*Options) {}, 0, goexe.Patch{Kind: 7, Code: spill}, 1},
	} {
		o := good
		c.change(&o)
		patches := make([]goexe.Patch, c.n)
		for i := range patches {
			patches[i] = c.patch
		}
		_, _, err := Assemble(o, c.at, 0, patches)
		require.ErrorContains(t, err, want)
	}
}

// As many as goexe takes a program to have at the most; with a profile, casgstatus is copied to where it is called.
func TestManyPatchesHaveRoom(t *testing.T) {
	l := layout(t, "go1.20.14")
	call, _ := callPatch()
	patches := []goexe.Patch{call}
	for range 63 {
		p, _ := swapPatch(l, r9, r8)
		patches = append(patches, p)
	}
	text, _, err := Assemble(Options{Data: 0x7f0000000000, Geometry: ring.Geometry{CPUs: 4096, Bits: ring.MaxBits}, Layout: l}, 0x1000, 0, patches)
	require.NoError(t, err)
	require.LessOrEqual(t, len(text), MaxSize)
}
