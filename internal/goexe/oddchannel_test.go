package goexe

import (
	"bytes"
	"debug/elf"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/arch/x86/x86asm"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// compilerOf returns the compiler of a release. Since Go 1.21 the toolchain's own programs are built with profiles.
func compilerOf(t *testing.T, release string) string {
	t.Helper()
	get := exec.Command("go", "env", "GOROOT")
	get.Env = append(get.Environ(), "GOTOOLCHAIN="+release)
	root, err := get.Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(root)), "pkg/tool/linux_amd64/compile")
}

// hasSymbol tells whether an executable file has a symbol, other than by the table that is to be tested.
func hasSymbol(t *testing.T, exe, name string) bool {
	t.Helper()
	file, err := elf.Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	symbols, err := file.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(symbols, func(s elf.Symbol) bool { return s.Name == name })
}

// TestInlinedChannels looks at programs of which a profile has the compiler copy what sends items into other functions, where a closure of the copy has
// a name of its own: nothing is patched, else items would come out that have never gone in.
func TestInlinedChannels(t *testing.T) {
	seen := map[bool]int{}
	for _, release := range testbuild.Since("go1.21") {
		exe := compilerOf(t, release)
		b := analysed(t, exe)
		inlined := hasSymbol(t, exe, "runtime.chansend1.chansend.func1")
		seen[inlined]++
		channels, err := b.ChannelPatches()
		if refused := err != nil && strings.Contains(err.Error(), "inlined"); refused != inlined || (err != nil) != inlined || (len(channels) > 0) == inlined {
			t.Errorf("%s: chansend is inlined: %v; %d patches, %v", release, inlined, len(channels), err)
		}
		if patches, err := b.Patches(); err != nil || len(patches) == 0 {
			t.Errorf("%s: status changes have %d patches, %v", release, len(patches), err)
		}
	}
	if seen[true] == 0 || seen[false] == 0 {
		t.Errorf("of the compilers %d have chansend inlined, %d not: both are to be tested", seen[true], seen[false])
	}
}

// TestArgumentsLoadedBefore takes a real selectgo as if one argument after the other of selunlock had been loaded before an item is counted: it would
// be lost in the trampoline.
func TestArgumentsLoadedBefore(t *testing.T) {
	b := analysed(t, testbuild.Program(t, "lifecycle", testbuild.Options{}))
	functions, _, err := b.runtimeFunctions()
	if err != nil {
		t.Fatal(err)
	}
	unlocks := argumentsOf(functions, unlockers)
	f := functions[slices.IndexFunc(functions, func(f function) bool { return f.name == selectgo })]
	patches, err := channelPatchesOf(f, channelKinds[selectgo], unlocks)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := channelPatchesOf(f, channelKinds[selectgo], nil); err == nil {
		t.Error("a function is patched that calls what does not unlock")
	}
	code, err := decodeX86(f)
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, p := range patches {
		i := slices.IndexFunc(code, func(in x86) bool { return in.address == p.Address })
		for _, in := range code[i:] {
			if in.Op == x86asm.CALL {
				break
			}
			if in.Op != x86asm.MOV {
				continue
			}
			without := f
			without.code = bytes.Clone(f.code)
			copy(without.code[in.address-f.entry:], bytes.Repeat([]byte{0x90}, in.Len))
			if _, err := channelPatchesOf(without, channelKinds[selectgo], unlocks); err == nil {
				t.Errorf("it is patched without %v", in.Inst)
			}
			tried++
		}
	}
	if want := len(unlockers["runtime.selunlock"]) * len(patches); tried != want {
		t.Errorf("%d loads were left out, want %d", tried, want)
	}
}

// TestOddTakes looks for the instruction to replace in beginnings of recv, also such as no compiler has made.
func TestOddTakes(t *testing.T) {
	const (
		check = "49 3b 66 10 76 00 55 48 89 e5 48 83 ec 40" // cmp 0x10(%r14), %rsp; jbe; push %rbp; mov %rsp, %rbp; sub $0x40, %rsp
		bare  = "48 85 c9"                                  // test %rcx, %rcx
		spill = "48 89 44 24 50"                            // mov %rax, 0x50(%rsp)
	)
	for name, c := range map[string]struct {
		code  string
		taken bool
	}{
		"as of Go 1.26":                  {check + spill + "48 89 5c 24 58 4c 8b 40 60 4d 85 c0 74 00 c3", true},
		"behind a check":                 {check + bare + "74 00" + spill + bare + "c3", true},
		"before a call":                  {check + spill + "e8 00 00 00 00", true},
		"between a test and its jump":    {check + bare + spill + "74 00 c3", false},
		"and uses flags later":           {check + bare + spill + "48 89 5c 24 58 0f 94 c2 c3", false}, // sete %dl
		"and adds with the carry":        {check + bare + spill + "48 11 da c3", false},                // adc %rbx, %rdx
		"and goes elsewhere":             {check + bare + spill + "eb 00 c3", false},
		"and then increments, and jumps": {check + bare + spill + "48 ff c2 72 00 c3", false}, // the carry is still the test's
		"and ends":                       {check + spill, false},
	} {
		patches, err := channelPatchesOf(codeOf(t, recv, c.code), channelKinds[recv], nil)
		if (err == nil) != c.taken {
			t.Errorf("a recv that stores %s: %+v, %v", name, patches, err)
		}
	}
}
