package goexe

import (
	"bytes"
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

func codeOf(t testing.TB, name, text string) function {
	t.Helper()
	code, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return function{name: name, entry: 0x401000, code: code}
}

// TestOddCalls looks for the instruction to replace in beginnings of casgstatus, also such as no compiler has made.
func TestOddCalls(t *testing.T) {
	const (
		frame   = "55 48 89 e5 48 83 ec 38" // push %rbp; mov %rsp, %rbp; sub $0x38, %rsp
		spill   = "48 89 44 24 48"          // mov %rax, 0x48(%rsp)
		compare = "39 d9 74 00 c3"          // cmp %ebx, %ecx; je; ret
	)
	for name, c := range map[string]struct {
		code string
		at   uint64 // behind the entry
		want string // hex; "" if it is refused
	}{
		"as of Go 1.17":               {"48 83 ec 40 48 89 6c 24 38 48 8d 6c 24 38" + spill + compare, 4, "48896c2438"},
		"as of Go 1.21":               {frame + spill + "89 4c 24 54 89 5c 24 50" + compare, 8, "4889442448"},
		"with a large frame":          {"55 48 89 e5 48 81 ec 00 01 00 00 48 89 84 24 10 01 00 00" + compare, 11, "4889842410010000"},
		"short spills first":          {frame + "89 4c 24 54 89 5c 24 50" + spill + compare, 16, "4889442448"},
		"a nop first":                 {frame + "0f 1f 44 00 00" + spill + compare, 13, "4889442448"},
		"short spills only":           {frame + "89 4c 24 54 89 5c 24 50" + compare, 0, ""},
		"checks the stack's size":     {"4c 8d 64 24 80 4d 3b 66 10 76 10" + frame + spill + compare, 0, ""}, // lea -0x80(%rsp), %r12; cmp; jbe
		"checks it in another way":    {"49 3b 66 10 76 10" + frame + spill + compare, 0, ""},
		"is entered again":            {frame + spill + "eb f1", 0, ""},
		"begins with a loop":          {frame + spill + "eb f9", 0, ""},
		"is entered in the midst":     {frame + spill + "eb fa", 0, ""},
		"stores elsewhere":            {frame + "48 89 05 00 10 00 00" + compare, 0, ""},
		"stores where others are":     {frame + "48 89 44 0c 48" + compare, 0, ""},    // 0x48(%rsp,%rcx)
		"stores in thread-local data": {frame + "64 48 89 44 24 48" + compare, 0, ""}, // %fs:
		"stores something else":       {frame + "48 89 54 24 48" + spill + compare, 0, ""},
		"has changed an argument":     {frame + "31 c0" + spill + compare, 0, ""},
		"has moved an argument":       {frame + "48 89 c2" + spill + compare, 0, ""},
		"uses its flags":              {frame + "72 00" + spill + compare, 0, ""},
		"saves another register":      {"53" + spill + compare, 0, ""},
		"has a frame of unknown size": {"55 48 89 e5 48 29 c4" + spill + compare, 0, ""},
		"loads":                       {frame + "48 8b 44 24 48" + compare, 0, ""},
		"is cut short":                {frame + "48 89 44", 0, ""},
		"is empty":                    {"", 0, ""},
	} {
		patches, err := (amd64{}).patches(codeOf(t, casgstatus, c.code), swapped{atomicstatus: 0x90})
		if c.want == "" {
			if err == nil {
				t.Errorf("if casgstatus %s, the patch is %+v", name, patches)
			}
			continue
		}
		if err != nil || len(patches) != 1 {
			t.Errorf("casgstatus %s: %+v, %v", name, patches, err)
			continue
		}
		if p := patches[0]; p.Kind != Call || p.Address != 0x401000+c.at || hex.EncodeToString(p.Code) != c.want || p.Becomes != unknownStatus {
			t.Errorf("casgstatus %s: the patch is %+v, want %s at +%#x", name, p, c.want, c.at)
		}
	}
}

// TestOddSwaps reads compare-and-swaps of a status, also such as no compiler makes.
func TestOddSwaps(t *testing.T) {
	const refused = 0xff
	for name, c := range map[string]struct {
		code            string
		g, new, becomes uint8 // g is refused if it is
		want            string
	}{
		"low registers":          {"f0 0f b1 91 90 00 00 00 c3", 1, 2, unknownStatus, ""},
		"high registers":         {"f0 45 0f b1 88 90 00 00 00 c3", 8, 9, unknownStatus, ""},
		"the current g":          {"f0 41 0f b1 8e 90 00 00 00 c3", 14, 1, unknownStatus, ""},
		"a g in R12":             {"f0 41 0f b1 94 24 90 00 00 00 c3", 12, 2, unknownStatus, ""},
		"a new status in R13":    {"f0 44 0f b1 ab 90 00 00 00 c3", 3, 13, unknownStatus, ""},
		"to a constant":          {"ba 03 00 00 00 f0 0f b1 91 90 00 00 00 c3", 1, 2, 3, ""},
		"to one of two":          {"ba 03 00 00 00 f0 0f b1 91 90 00 00 00 75 f6 c3", 1, 2, unknownStatus, ""}, // jne to the swap
		"again and again":        {"f0 0f b1 91 90 00 00 00 75 f6 c3", 1, 2, unknownStatus, ""},
		"at the old status":      {"f0 0f b1 90 90 00 00 00 c3", refused, 0, 0, "unknown way"},
		"to the old status":      {"f0 0f b1 81 90 00 00 00 c3", refused, 0, 0, "unknown way"},
		"to the g's address":     {"f0 0f b1 89 90 00 00 00 c3", refused, 0, 0, "unknown way"},
		"on the stack":           {"f0 0f b1 94 24 90 00 00 00 c3", refused, 0, 0, "unknown way"},
		"in the frame":           {"f0 0f b1 95 90 00 00 00 c3", refused, 0, 0, "unknown way"},
		"to the stack's":         {"f0 0f b1 a1 90 00 00 00 c3", refused, 0, 0, "unknown way"},
		"in thread-local data":   {"f0 64 0f b1 91 90 00 00 00 c3", refused, 0, 0, "unknown way"},
		"of a 32-bit address":    {"f0 67 0f b1 91 90 00 00 00 c3", refused, 0, 0, "unknown way"},
		"with an idle prefix":    {"f0 40 0f b1 91 90 00 00 00 c3", refused, 0, 0, "unknown way"},
		"jumped into":            {"eb 01 f0 0f b1 91 90 00 00 00 c3", refused, 0, 0, "a jump leads into"},
		"by a call":              {"48 81 c0 90 00 00 00 e8 00 00 00 00 c3", refused, 0, 0, "-gcflags=all=-l"},
		"behind what is no code": {"06 f0 0f b1 91 90 00 00 00 c3", refused, 0, 0, "undecodable"},
	} {
		patches, err := (amd64{}).patches(codeOf(t, "runtime.f", c.code), swapped{atomicstatus: 0x90, function: 0x40100c})
		if c.g == refused {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("a swap %s: %+v, %v, want an error with %q", name, patches, err, c.want)
			}
			continue
		}
		if err != nil || len(patches) != 1 {
			t.Errorf("a swap %s: %+v, %v", name, patches, err)
			continue
		}
		if p := patches[0]; p.Kind != Swap || p.G != c.g || p.New != c.new || p.Becomes != c.becomes || p.Code[0] != 0xf0 || len(p.Code) < 8 {
			t.Errorf("a swap %s: %+v, want g in %d, the new status in %d, %d", name, p, c.g, c.new, c.becomes)
		}
	}
	// What swaps something else is none.
	for _, code := range []string{"0f b1 91 90 00 00 00 c3", "f0 0f b1 91 98 00 00 00 c3", "f0 48 0f b1 91 90 00 00 00 c3", "f0 0f b1 94 01 90 00 00 00 c3", "c3"} {
		if patches, err := (amd64{}).patches(codeOf(t, "runtime.f", code), swapped{atomicstatus: 0x90}); err != nil || patches != nil {
			t.Errorf("%s swaps a status: %+v, %v", code, patches, err)
		}
	}
}

// TestCheckPatches refuses patches that lie over each other, are too many, or are not of code.
func TestCheckPatches(t *testing.T) {
	b := analysed(t, testbuild.Program(t, "hello", testbuild.Options{}))
	good, err := b.Patches()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(good, func(a, b Patch) int { return int(a.Address) - int(b.Address) }) {
		t.Errorf("patches are in the order %+v", good)
	}
	within := good[1]
	within.Address += 4
	elsewhere := good[1]
	elsewhere.Address = b.AllgLen
	for name, patches := range map[string][]Patch{
		"twice the same": {good[1], good[0], good[1]}, "one in another": {good[1], within}, "data": {elsewhere},
		"more than any": slices.Repeat(good, maxPatches),
	} {
		if err := b.check(slices.Clone(patches)); err == nil {
			t.Errorf("%s: not refused", name)
		}
	}
}

// TestPatchesOfClosed asks for patches when the file is closed: those found before are still there.
func TestPatchesOfClosed(t *testing.T) {
	b, err := Open(testbuild.Program(t, "hello", testbuild.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	before, err := b.Patches()
	if err != nil {
		t.Fatal(err)
	}
	codes := bytes.Clone(before[0].Code)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before[0].Code, codes) {
		t.Error("the code is no longer what it was")
	}
	if patches, err := b.Patches(); err == nil {
		t.Errorf("of a closed file are found %+v", patches)
	}
}
