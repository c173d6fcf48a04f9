package goexe

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/arch/arm64/arm64asm"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// elfWith returns an ELF file with n sections, all with the same name of the given length.
func elfWith(n int, name int) []byte {
	const header, size = 64, section64Size
	file := make([]byte, header+n*size)
	copy(file, elf.ELFMAG)
	file[elf.EI_CLASS], file[elf.EI_DATA], file[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	le := binary.LittleEndian
	le.PutUint16(file[0x10:], uint16(elf.ET_EXEC))
	le.PutUint16(file[0x12:], uint16(elf.EM_X86_64))
	le.PutUint32(file[0x14:], uint32(elf.EV_CURRENT))
	le.PutUint64(file[0x28:], header)
	le.PutUint16(file[0x36:], 56) // of a program header
	le.PutUint16(file[0x3a:], size)
	le.PutUint16(file[0x3c:], uint16(n))
	for i := range n {
		s := file[header+i*size:]
		le.PutUint32(s[4:], uint32(elf.SHT_STRTAB))
		le.PutUint64(s[24:], uint64(len(file)))
		le.PutUint64(s[32:], uint64(name+1))
	}
	return append(append(file, bytes.Repeat([]byte("x"), name)...), 0)
}

const section64Size = 64

// TestSectionNames reads a file of a few megabytes of which the names of sections, each a copy, would take gigabytes.
func TestSectionNames(t *testing.T) {
	allocated := func(file []byte) (uint64, error) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := newImage(file)
		_, identifyErr := Identify(bytes.NewReader(file))
		runtime.ReadMemStats(&after)
		if identifyErr == nil {
			t.Error("a file without code is a Go program")
		}
		return after.TotalAlloc - before.TotalAlloc, err
	}
	if n, err := allocated(elfWith(60_000, 1<<16)); err == nil || n > 1<<20 {
		t.Errorf("%d bytes are allocated for a file with too many names: %v", n, err)
	}
	if _, err := allocated(elfWith(60, 1000)); err != nil {
		t.Errorf("an ordinary file is refused: %v", err)
	}
}

// changed returns a copy of a program with something else in its header.
func changed(t *testing.T, exe string, change func(file []byte)) []byte {
	t.Helper()
	file, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	change(file)
	return file
}

// TestHeaders reads programs whose headers lie, or say less than linkers do.
func TestHeaders(t *testing.T) {
	exe := testbuild.Program(t, "hello", testbuild.Options{Flags: []string{"-ldflags=-s -w"}})
	le := binary.LittleEndian
	for name, c := range map[string]struct {
		change func([]byte)
		want   string
	}{
		"no section headers": {func(f []byte) {
			le.PutUint64(f[0x28:], 0)
			le.PutUint16(f[0x3c:], 0)
			le.PutUint16(f[0x3e:], 0)
		}, "no section headers"},
		"more sections than fit":    {func(f []byte) { le.PutUint16(f[0x3c:], 0) }, "more sections than an executable has"},
		"section headers elsewhere": {func(f []byte) { le.PutUint64(f[0x28:], 1<<62) }, "outside the file"},
		"names elsewhere":           {func(f []byte) { le.PutUint16(f[0x3e:], 60_000) }, "outside the file"},
		"compressed names": {func(f []byte) {
			names := le.Uint64(f[0x28:]) + section64Size*uint64(le.Uint16(f[0x3e:]))
			le.PutUint64(f[names+8:], uint64(elf.SHF_COMPRESSED))
		}, "compressed"},
		"many segments": {func(f []byte) {
			const segments = 1 << 20
			le.PutUint64(f[0x20:], segments)
			le.PutUint16(f[0x38:], 1000)
			for i := range uint64(1000) {
				s := f[segments+56*i:]
				clear(s[:56])
				le.PutUint32(s, uint32(elf.PT_LOAD))
			}
		}, "1000 segments"},
		"32 bits": {func(f []byte) { f[elf.EI_CLASS] = byte(elf.ELFCLASS32) }, ""},
	} {
		_, err := analyseBytes(changed(t, exe, c.change))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, c.want)
		}
	}
}

// TestGuarded makes errors of what a file can bring about, and nothing else.
func TestGuarded(t *testing.T) {
	var empty []byte
	if err := guarded(func() error { empty[len(os.Args)]++; return nil }); err == nil || !strings.Contains(err.Error(), "index out of range") {
		t.Errorf("an index out of range becomes %v", err)
	}
	defer func() {
		if recover() != "made up" {
			t.Error("another panic is hidden")
		}
	}()
	_ = guarded(func() error { panic("made up") })
}

// TestCodeThatNobodyWrote reads functions that are longer than any, and one that keeps pointers in more places.
func TestCodeThatNobodyWrote(t *testing.T) {
	swap := []byte{0xf0, 0x0f, 0xb1, 0x8b, 0x90, 0, 0, 0, 0x90} // lock cmpxchg %ecx, 0x90(%rbx)
	what := swapped{atomicstatus: 0x90}
	long := function{name: casgstatus, entry: 0x1000, code: append(bytes.Repeat([]byte{0x90}, maxFunction), swap...)}
	if _, err := findSites(amd64{}, []function{long}, what); err == nil || !strings.Contains(err.Error(), "more than any runtime has") {
		t.Errorf("of a function of %d bytes: %v", len(long.code), err)
	}
	var many []function
	for range maxCode/maxFunction + 1 {
		many = append(many, function{name: "runtime.f", entry: 0x1000, code: long.code[len(long.code)-maxFunction:]})
	}
	if _, err := findSites(amd64{}, many, what); err == nil || !strings.Contains(err.Error(), "more than any runtime has") {
		t.Errorf("of %d such functions: %v", len(many), err)
	}
	// Each second instruction stores such a pointer in a place of its own.
	var code []arm
	for i := range 4 * maxPlaces {
		in, register := arm{address: uint64(4 * i)}, i/2%16
		in.Op, in.Enc = arm64asm.ADD, 0x91000000|0x90<<10|uint32(register)|1<<5 // the address of a status, into a register
		in.Args[0], in.Args[1] = arm64asm.RegSP(arm64asm.X0+arm64asm.Reg(register)), arm64asm.RegSP(arm64asm.X1)
		if i%2 == 1 {
			in.Op, in.Enc = arm64asm.STR, armSingle|3<<30|uint32(i)<<10|armStackPointer<<5|uint32(register)
		}
		code = append(code, in)
	}
	if _, err := pointersIn(code, 0x90); err == nil {
		t.Error("pointers in more places than any function has are followed")
	}
}
