package goexe

import (
	"bytes"
	"debug/dwarf"
	"encoding/binary"
	"os"
	"runtime"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// maxAllocated is what the analysis of a file may allocate, in bytes, whatever the file claims.
const maxAllocated = 256 << 20

// victim is a real binary, with the places in it where a lie does most.
type victim struct {
	file   []byte
	places []uint64
}

func victims(f *testing.F) (all []victim) {
	for _, o := range []testbuild.Options{
		{Version: testbuild.Versions[0], Flags: []string{"-ldflags=-s -w", "-buildmode=pie"}},
		{Version: "go1.18.10", Flags: []string{"-ldflags=-s -w"}},
		{Version: "go1.24.13", Flags: []string{"-ldflags=-s -w", "-buildmode=pie"}},
		{Version: testbuild.Newest, Flags: []string{"-ldflags=-compressdwarf=false"}},
		{Version: "go1.20.14"},
	} {
		file, err := os.ReadFile(testbuild.Program(f, "hello", o))
		if err != nil {
			f.Fatal(err)
		}
		v := victim{file: file, places: []uint64{0, binary.LittleEndian.Uint64(file[0x28:])}} // the headers of the file and of its sections
		im, err := newImage(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, name := range []string{".gopclntab", ".data.rel.ro.gopclntab", ".go.buildinfo", ".symtab", ".rela", ".go.module", ".text", ".shstrtab", ".debug_info", ".debug_abbrev", ".rodata"} {
			if s := im.file.Section(name); s != nil {
				v.places = append(v.places, s.Offset)
			}
		}
		all = append(all, v)
	}
	return all
}

// FuzzAnalyse reads real binaries that were cut short, and of which some bytes were replaced.
func FuzzAnalyse(f *testing.F) {
	all := victims(f)
	for which := range all {
		f.Add(uint8(which), uint8(0), uint16(0), uint32(0), []byte{})
		for place := range all[which].places {
			f.Add(uint8(which), uint8(place), uint16(8), uint32(0), []byte{0xff, 0xff, 0xff, 0x7f})
		}
		f.Add(uint8(which), uint8(0), uint16(0), uint32(4096), []byte{})
	}
	f.Fuzz(func(t *testing.T, which, place uint8, offset uint16, cut uint32, lie []byte) {
		v := all[int(which)%len(all)]
		file := bytes.Clone(v.file[:len(v.file)-int(cut)%len(v.file)])
		if at := v.places[int(place)%len(v.places)] + uint64(offset); at < uint64(len(file)) {
			copy(file[at:], lie)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		im, err := newImage(file)
		if err != nil {
			return
		}
		if b, err := analyse(im); err == nil {
			for _, s := range b.Sites {
				b.Frames(s.Address)
				b.StartFunction(s.Address)
			}
			if patches, err := b.Patches(); err == nil && len(patches) != len(b.Sites) {
				t.Errorf("%d instructions are to be replaced, of %d sites", len(patches), len(b.Sites))
			}
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > maxAllocated {
			t.Errorf("%d bytes were allocated for a file of %d", n, len(file))
		}
	})
}

func FuzzLayout(f *testing.F) {
	for _, v := range []string{"go1.26.8", "go1.22.12 X:noexectracer2", "go1.26.8-X:nogreenteagc", "devel +1234", "go1.9", "go1.99.1", ""} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, version string) {
		l, err := layoutFor(version)
		if (l == nil) == (err == nil) {
			t.Errorf("%q gives %v, %v", version, l, err)
		}
	})
}

// FuzzDebugInfo reads debug information that lies. Its seeds are of real binaries, as far as their types of package runtime go.
func FuzzDebugInfo(f *testing.F) {
	for _, release := range []string{testbuild.Versions[0], "go1.24.13", testbuild.Newest} {
		im, err := openImage(testbuild.Program(f, "hello", testbuild.Options{Version: release}))
		if err != nil {
			f.Fatal(err)
		}
		abbrev, err := im.debugSection("abbrev")
		if err != nil {
			f.Fatal(err)
		}
		info, err := im.debugSection("info")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(abbrev, info)
		f.Add(abbrev, info[:len(info)/2])
	}
	f.Fuzz(func(t *testing.T, abbrev, info []byte) {
		d, err := dwarf.New(abbrev, nil, nil, shortened(info), nil, nil, nil, nil)
		if err != nil {
			return
		}
		found, err := readRuntime(d)
		if err == nil && found.missing() != nil {
			t.Errorf("it is read without %v", found.missing())
		}
	})
}

// FuzzPatches reads code that nobody wrote.
func FuzzPatches(f *testing.F) {
	for _, o := range []testbuild.Options{{Version: testbuild.Versions[0]}, {Version: testbuild.Newest}, {Env: onARM}} {
		b, err := Open(testbuild.Program(f, "hello", o))
		if err != nil {
			f.Fatal(err)
		}
		functions, _, err := b.runtimeFunctions()
		if err != nil {
			f.Fatal(err)
		}
		for _, s := range b.Sites {
			code, _ := named(functions, s.Function)
			f.Add(s.Function, bytes.Clone(code.code), o.Env != nil)
		}
		if err := b.Close(); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, name string, code []byte, onARM bool) {
		what := swapped{atomicstatus: 0x90, function: 0x400000}
		of := function{name: name, entry: 0x401000, code: code}
		goarch, size := "amd64", jumpSize
		if onARM {
			goarch, size = "arm64", armSize
		}
		patches, err := instructionSets[goarch].patches(of, what)
		if err != nil {
			return
		}
		for _, p := range patches {
			at := p.Address - of.entry
			if at >= uint64(len(code)) || !bytes.HasPrefix(code[at:], p.Code) || len(p.Code) < size {
				t.Errorf("% x at +%#x is to be replaced", p.Code, at)
			}
			if p.Kind == Swap && !onARM && !bytes.Equal(p.Code, statusSwap(p.G, p.New, what.atomicstatus)) {
				t.Errorf("% x is no swap of a status", p.Code)
			}
			if p.Free>>p.G&1 == 1 || p.Free>>p.Old&1 == 1 || p.Free>>p.New&1 == 1 || p.Free>>28 != 0 {
				t.Errorf("%+v has registers free that are not", p)
			}
		}
	})
}
