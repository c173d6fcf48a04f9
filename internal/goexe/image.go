package goexe

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
)

// image is an ELF file in memory, addressed as it was linked. The file is mapped, not read: the pages of a running program are in
// memory already, and a table of 50 MB costs nothing but the parts that are looked at. The mapping is shared: into a private one the
// kernel inserts the breakpoints of all uprobes on the file, as it does for a program that runs (kernel/events/uprobes.c: valid_vma),
// and the code would not be what was linked.
type image struct {
	mu       sync.RWMutex // held while the file is read after its analysis, and to close it
	data     []byte
	file     *elf.File
	segments []*elf.Prog // that are loaded
	mapped   bool
	identity identity
}

func openImage(path string) (*image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() == 0 {
		return nil, FileError{errors.New("not an executable file")}
	}
	data, err := mapFile(f, int(info.Size()))
	if err != nil {
		return nil, fmt.Errorf("map file: %w", err)
	}
	var im *image
	err = guarded(func() error {
		if im, err = newImage(data); err != nil {
			return err
		}
		im.mapped = true
		im.identify(info)
		return nil
	})
	if err != nil {
		_ = unmapFile(data)
		return nil, byFile(err)
	}
	return im, nil
}

func newImage(data []byte) (*image, error) {
	if err := checkHeader(bytes.NewReader(data)); err != nil {
		return nil, err
	}
	f, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("not an ELF file: %w", err)
	}
	im := &image{data: data, file: f}
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD {
			im.segments = append(im.segments, p)
		}
	}
	if len(im.segments) > maxSegments {
		return nil, fmt.Errorf("%d segments are to be loaded: more than any linker makes", len(im.segments))
	}
	return im, nil
}

// leave is called after the file was looked at as a whole.
func (im *image) leave() {
	if im.mapped {
		leaveFile(im.data)
	}
}

func (im *image) close() error {
	if !im.mapped {
		return nil
	}
	im.mapped = false
	return unmapFile(im.data)
}

// guarded runs f and makes an error of a page fault in it, for the file that is mapped may be cut short by whoever owns it; and of an index
// out of range and the like, should a file find one in all the code that reads it: it must not end the collector.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch fault := recover().(type) {
		case nil:
		case interface{ Addr() uintptr }:
			err = fmt.Errorf("%w: fault at %#x", errFault, fault.Addr())
		case runtime.Error:
			err = fmt.Errorf("the file cannot be read: %w", fault)
		default:
			panic(fault)
		}
	}()
	return f()
}

// from returns the file's bytes from an address on, up to the end of the segment that holds it; nil if none does.
func (im *image) from(address uint64) []byte {
	for _, p := range im.segments {
		if address < p.Vaddr || address-p.Vaddr >= p.Filesz {
			continue
		}
		start, end := p.Off+(address-p.Vaddr), p.Off+p.Filesz
		if start > end || end < p.Off || end > uint64(len(im.data)) {
			return nil
		}
		return im.data[start:end]
	}
	return nil
}

// between returns the bytes from start to end, or nil if not all of them are in the file.
func (im *image) between(start, end uint64) []byte {
	b := im.from(start)
	if end < start || uint64(len(b)) < end-start {
		return nil
	}
	return b[:end-start]
}

// word returns the 64-bit word at an address.
func (im *image) word(address uint64) (uint64, bool) {
	b := im.from(address)
	if len(b) < 8 {
		return 0, false
	}
	return binary.LittleEndian.Uint64(b), true
}

// section returns a section's address and bytes; it has none if it is missing or its header lies.
func (im *image) section(name string) (uint64, []byte) {
	s := im.file.Section(name)
	if s == nil || s.Type == elf.SHT_NOBITS || s.Offset > uint64(len(im.data)) || s.FileSize > uint64(len(im.data))-s.Offset {
		return 0, nil
	}
	return s.Addr, im.data[s.Offset : s.Offset+s.FileSize]
}

// offset returns where in the file the executable code at an address is.
func (im *image) offset(address uint64) (uint64, error) {
	for _, p := range im.segments {
		if p.Flags&elf.PF_X != 0 && address >= p.Vaddr && address-p.Vaddr < p.Filesz {
			return address - p.Vaddr + p.Off, nil
		}
	}
	return 0, fmt.Errorf("no executable segment holds %#x", address)
}

// base returns the address of the first mapped page, from which the distance to where the kernel put it is counted.
func (im *image) base() uint64 {
	base := ^uint64(0)
	for _, p := range im.segments {
		base = min(base, p.Vaddr)
	}
	return base &^ (uint64(os.Getpagesize()) - 1)
}

// relocations calls visit with what the dynamic linker will store where in a position-independent executable, until it returns false.
func (im *image) relocations(visit func(address, value uint64) bool) {
	const size = 24 // of Elf64_Rela
	_, rela := im.section(".rela.dyn")
	if rela == nil {
		_, rela = im.section(".rela")
	}
	for ; len(rela) >= size; rela = rela[size:] {
		if !visit(binary.LittleEndian.Uint64(rela), binary.LittleEndian.Uint64(rela[16:])) {
			return
		}
	}
}

// dynamicAddend returns what the dynamic linker will store at an address of a position-independent executable.
func (im *image) dynamicAddend(wanted uint64) (found uint64, ok bool) {
	im.relocations(func(address, value uint64) bool {
		if address == wanted {
			found, ok = value, true
		}
		return !ok
	})
	return found, ok
}

// relocated returns a copy of n bytes of variables, with the pointers that the dynamic linker will store; nil if they are not in the
// file.
func (im *image) relocated(start uint64, n int) []byte {
	data := bytes.Clone(im.between(start, start+uint64(n)))
	if data == nil || im.file.Type != elf.ET_DYN {
		return data
	}
	im.relocations(func(address, value uint64) bool {
		if address >= start && address-start <= uint64(n)-8 {
			binary.LittleEndian.PutUint64(data[address-start:], value)
		}
		return true
	})
	return data
}

// pointer returns the link-time value of a pointer variable.
func (im *image) pointer(address uint64) (uint64, bool) {
	if im.file.Type == elf.ET_DYN {
		if v, ok := im.dynamicAddend(address); ok {
			return v, true
		}
	}
	return im.word(address)
}
