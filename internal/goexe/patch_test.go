package goexe

import (
	"bytes"
	"fmt"
	"math/bits"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/arch/arm64/arm64asm"
	"golang.org/x/arch/x86/x86asm"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// build is a way of building a program in which its code differs.
type build struct {
	program string
	options testbuild.Options
}

// buildsOf returns those for a release; the programs are those of other tests too, for each costs a second to build.
func buildsOf(t *testing.T, release string) map[string]build {
	all := map[string]build{
		"default": {"lifecycle", testbuild.Options{}}, "stripped": {"hello", testbuild.Options{Flags: []string{"-ldflags=-s -w"}}},
		"pie":      {"hello", testbuild.Options{Flags: []string{"-buildmode=pie"}}},
		"race":     {"hello", testbuild.Options{Flags: []string{"-race"}, Cgo: true}},
		"pie, cgo": {"hello", testbuild.Options{Flags: []string{"-buildmode=pie", "-ldflags=-linkmode=external"}, Cgo: true}},
		"arm64":    {"lifecycle", testbuild.Options{Env: onARM}}, "arm64, pie": {"hello", testbuild.Options{Env: onARM, Flags: []string{"-buildmode=pie"}}},
	}
	if release == testbuild.Newest {
		profile := "-pgo=" + testbuild.SchedulerProfile(t, release)
		all["pgo"] = build{"lifecycle", testbuild.Options{Flags: []string{profile}}}
		all["arm64, pgo"] = build{"lifecycle", testbuild.Options{Flags: []string{profile}, Env: onARM}}
		all["newer machines"] = build{"hello", testbuild.Options{Env: []string{"GOAMD64=v3"}}}
		all["arm64, v8.1"] = build{"lifecycle", testbuild.Options{Env: append(onARM, "GOARM64=v8.1")}}
	}
	return all
}

// TestPatches compares the instructions to replace with the sites to probe, and checks each, in programs of all releases.
func TestPatches(t *testing.T) {
	for _, release := range testbuild.Versions {
		for name, c := range buildsOf(t, release) {
			onARM := strings.HasPrefix(name, "arm64")
			if onARM && !supports(release, "arm64") {
				continue
			}
			t.Run(release+"/"+name, func(t *testing.T) {
				c.options.Version = release
				b := analysed(t, testbuild.Program(t, c.program, c.options))
				patches, err := b.Patches()
				if err != nil {
					t.Fatal(err)
				}
				forms := 1
				if onARM && !strings.HasSuffix(name, "v8.1") {
					forms = 2
				}
				samePlaces(t, b, patches, forms)
				for _, p := range patches {
					if onARM {
						checkARMPatch(t, b, p)
					} else {
						checkPatch(t, b, p)
					}
				}
				if inlined := len(patches) > 8*forms; inlined != strings.HasSuffix(name, "pgo") {
					t.Errorf("%d instructions change a status", len(patches))
				}
			})
		}
	}
}

// samePlaces compares patches with the sites, by function, by how many there are in each, and by what they tell. Each swap is there in so
// many forms.
func samePlaces(t *testing.T, b *Binary, patches []Patch, forms int) {
	t.Helper()
	type place struct {
		function string
		kind     Kind
		syscall  bool
	}
	balance := map[place]int{}
	for _, s := range b.Sites {
		if balance[place{s.Function, s.Kind, s.Syscall}]++; s.Kind == Swap {
			balance[place{s.Function, s.Kind, s.Syscall}] += forms - 1
		}
	}
	for _, p := range patches {
		balance[place{p.Function, p.Kind, p.Syscall}]--
	}
	for p, n := range balance {
		if n != 0 {
			t.Errorf("of %+v there are %d more sites than patches", p, n)
		}
	}
}

// checkPatch looks at one instruction of a program.
func checkPatch(t *testing.T, b *Binary, p Patch) {
	t.Helper()
	f := functionAt(t, b, p)
	code, err := decodeX86(f)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(code, func(in x86) bool { return in.address == p.Address })
	if i < 0 || !bytes.Equal(code[i].bytes, p.Code) || len(p.Code) < 5 {
		t.Fatalf("%s has no instruction % x at %#x", p.Function, p.Code, p.Address)
	}
	text := x86asm.GNUSyntax(code[i].Inst, p.Address, nil)
	if p.Kind == Swap {
		if !strings.HasPrefix(text, "lock cmpxchg %") || code[i].Args[0].(x86asm.Mem).Disp != int64(b.Layout.G.AtomicStatus) {
			t.Errorf("%s is to be replaced at %#x, which swaps no status", text, p.Address)
		}
		return
	}
	if want := "mov %rax,0x"; b.GoVersion >= "go1.21" && !strings.HasPrefix(text, want) || p.Address-f.entry > 16 {
		t.Errorf("at %s+%#x is %s, want one with %q", p.Function, p.Address-f.entry, text, want)
	}
	if used := usedOf(code, i, []x86asm.Reg{
		x86asm.RDX, x86asm.RSI, x86asm.RDI, x86asm.R8, x86asm.R9, x86asm.R10, x86asm.R11, x86asm.R12, x86asm.R13,
	}); used != "" {
		t.Errorf("the code behind the patch uses a register that is said to be dead: %s", used)
	}
}

// checkARMPatch looks at one instruction of a program.
func checkARMPatch(t *testing.T, b *Binary, p Patch) {
	t.Helper()
	f := functionAt(t, b, p)
	if at := p.Address - f.entry; len(p.Code) != armSize || !bytes.HasPrefix(f.code[at:], p.Code) {
		t.Fatalf("%s has no instruction % x at +%#x", p.Function, p.Code, at)
	}
	in, err := arm64asm.Decode(p.Code)
	if err != nil {
		t.Fatal(err)
	}
	text := arm64asm.GNUSyntax(in)
	t.Logf("%s+%#x: %s, free: %#x", p.Function, p.Address-f.entry, text, p.Free)
	if p.Kind == Call {
		if !regexp.MustCompile(`^str (x0|w1|w2), \[sp,#\d+\]$`).MatchString(text) {
			t.Errorf("%s is to be replaced in casgstatus", text)
		}
		return
	}
	if text != fmt.Sprintf("cset x%d, eq", p.Result) || p.Above != b.Layout.G.AtomicStatus {
		t.Errorf("%s is to be replaced, which makes no number of a swap's success in %+v", text, p)
	}
	if bits.OnesCount32(p.Free) < 4 {
		t.Errorf("%s leaves but the registers %#x", p.Function, p.Free)
	}
}

func functionAt(t *testing.T, b *Binary, p Patch) function {
	t.Helper()
	functions, _, err := b.runtimeFunctions()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range functions {
		if p.Address >= f.entry && p.Address-f.entry < uint64(len(f.code)) && f.name == p.Function {
			return f
		}
	}
	t.Fatalf("%s has no code at %#x", p.Function, p.Address)
	return function{}
}

// usedOf follows the code from an instruction on, on all ways, until it calls, returns, or has overwritten the registers, and returns an
// instruction that uses what one of them held before, "" if none does.
func usedOf(code []x86, from int, registers []x86asm.Reg) string {
	at := map[uint64]int{}
	for i, in := range code {
		at[in.address] = i
	}
	for _, r := range registers {
		seen := map[int]bool{}
		for todo := []int{from}; len(todo) > 0; {
			i := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if i >= len(code) || seen[i] {
				continue
			}
			seen[i] = true
			in := code[i]
			if in.uses(r) {
				return x86asm.GNUSyntax(in.Inst, in.address, nil)
			}
			if to, ok := in.target(); ok && in.Op != x86asm.CALL {
				if next, ok := at[to]; ok {
					todo = append(todo, next)
				}
			}
			ends := in.Op == x86asm.JMP || in.Op == x86asm.RET || in.Op == x86asm.UD2
			if !ends && !in.overwrites(r) {
				todo = append(todo, i+1)
			}
		}
	}
	return ""
}

// uses tells whether an instruction reads a register, or may do so by an operand that it does not show.
func (in x86) uses(r x86asm.Reg) bool {
	for i, a := range in.Args {
		switch a := a.(type) {
		case x86asm.Mem:
			if sameRegister(a.Base, r) || sameRegister(a.Index, r) {
				return true
			}
		case x86asm.Reg:
			cleared := in.Op == x86asm.XOR && in.Args[0] == in.Args[1]
			onlyWritten := i == 0 && writeOnly[in.Op]
			if sameRegister(a, r) && !cleared && !onlyWritten {
				return true
			}
		}
	}
	return false
}

// writeOnly are instructions that do not read their first operand, if it is a register of at least 32 bits, or all that is read later.
var writeOnly = map[x86asm.Op]bool{
	x86asm.MOV: true, x86asm.LEA: true, x86asm.MOVZX: true, x86asm.MOVSX: true, x86asm.MOVSXD: true, x86asm.SETE: true, x86asm.SETNE: true, x86asm.SETB: true,
}

// TestNoPatches says of programs why they have none.
func TestNoPatches(t *testing.T) {
	for _, release := range testbuild.Versions {
		for _, o := range []testbuild.Options{{}, {Env: onARM}} {
			if o.Env != nil && !supports(release, "arm64") {
				continue
			}
			o.Version, o.Flags = release, []string{"-gcflags=all=-N -l"}
			b := analysed(t, testbuild.Program(t, "hello", o))
			patches, err := b.Patches()
			// To Go 1.19, the status is a plain integer that a function swaps which the compiler always has an instruction for.
			if byCall := release >= "go1.20"; byCall != (err != nil) || err != nil && !strings.Contains(err.Error(), "-gcflags=all=-l") {
				t.Errorf("%s for %s, not optimized: %d patches, %v", release, b.GOARCH, len(patches), err)
			}
			if err == nil && o.Env == nil {
				samePlaces(t, b, patches, 1)
			}
		}
	}
}
