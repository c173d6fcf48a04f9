package goexe

import (
	"maps"
	"strings"
	"testing"

	"golang.org/x/arch/x86/x86asm"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestChannelPatches looks at the instructions by which items of channels are seen, in programs of all releases.
func TestChannelPatches(t *testing.T) {
	for _, release := range testbuild.Versions {
		for name, c := range buildsOf(t, release) {
			if strings.HasPrefix(name, "arm64") && !supports(release, "arm64") {
				continue
			}
			t.Run(release+"/"+name, func(t *testing.T) {
				c.options.Version = release
				b := analysed(t, testbuild.Program(t, c.program, c.options))
				patches, err := b.ChannelPatches()
				if strings.HasPrefix(name, "arm64") {
					if err == nil {
						t.Error("there are patches of arm64")
					}
					return
				}
				if name == "pgo" {
					if len(patches) > 0 || err == nil || !strings.Contains(err.Error(), "inlined") {
						t.Errorf("although recv is inlined into chanrecv: %d patches, %v", len(patches), err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				got := map[string]int{}
				for _, p := range patches {
					got[p.Function+" "+p.Kind.String()]++
					checkChannelPatch(t, b, p)
				}
				want := map[string]int{"runtime.chansend sent": 1, "runtime.chanrecv received": 1, "runtime.recv taken": 1}
				if c.program == "lifecycle" {
					want["runtime.selectgo sent"], want["runtime.selectgo received"] = 1, 1
				}
				if !maps.Equal(got, want) {
					t.Errorf("the patches are %v, want %v", got, want)
				}
			})
		}
	}
}

// checkChannelPatch looks at one instruction: it is a load or store of a local, and of items behind the count of the right channel.
func checkChannelPatch(t *testing.T, b *Binary, p Patch) {
	t.Helper()
	code, err := decodeX86(functionAt(t, b, p))
	if err != nil {
		t.Fatal(err)
	}
	for i, in := range code {
		if in.address != p.Address {
			continue
		}
		dead := []x86asm.Reg{x86asm.RDX, x86asm.R8, x86asm.R9, x86asm.R10, x86asm.R11, x86asm.R12, x86asm.R13}
		if p.Kind != Taken {
			dead = append(dead, x86asm.RAX, x86asm.RBX, x86asm.RCX, x86asm.RSI, x86asm.RDI)
		}
		if used := usedOf(code, i, dead); used != "" {
			t.Errorf("%s: the code behind the patch uses a register that is said to be dead: %s", p.Function, used)
		}
		if in.Op != x86asm.MOV || len(in.bytes) < jumpSize || string(in.bytes) != string(p.Code) {
			t.Errorf("%s: % x is not what is to be replaced", p.Function, in.bytes)
		}
		for i--; p.Kind != Taken && code[i].isPadding(); i-- {
		}
		m, _ := code[i].Args[0].(x86asm.Mem)
		if wants := map[Kind]x86asm.Op{Sent: x86asm.INC, Received: x86asm.DEC}[p.Kind]; p.Kind != Taken && (code[i].Op != wants || m.Base != x86asm.RAX+x86asm.Reg(p.G)) {
			t.Errorf("%s: before it is %v", p.Function, code[i].Inst)
		}
		return
	}
	t.Errorf("%s has no instruction at %#x", p.Function, p.Address)
}
