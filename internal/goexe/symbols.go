package goexe

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"

	"github.com/otelgoroutine/goroutinereceiver/internal/pclntab"
)

// symbolTable looks up a few names in the ELF symbol table. It is not debug/elf's Symbols, which allocates all of them: they
// may be hundreds of thousands.
func symbolTable(im *image, wanted ...string) map[string]elf.Symbol {
	const size = 24 // of Elf64_Sym
	found := map[string]elf.Symbol{}
	_, symbols := im.section(".symtab")
	_, names := im.section(".strtab")
	for ; len(symbols) >= size; symbols = symbols[size:] {
		name := binary.LittleEndian.Uint32(symbols)
		if uint64(name) >= uint64(len(names)) {
			continue
		}
		for _, w := range wanted {
			rest := names[name:]
			if len(rest) > len(w) && rest[len(w)] == 0 && string(rest[:len(w)]) == w {
				found[w] = elf.Symbol{
					Name:  w,
					Value: binary.LittleEndian.Uint64(symbols[8:]),
					Size:  binary.LittleEndian.Uint64(symbols[16:]),
				}
			}
		}
	}
	return found
}

// Addresses that only an ELF symbol table or a module's data can tell.
const (
	symbolText        = "runtime.text"
	symbolGoFunc      = "go:func.*"
	symbolGoFuncOld   = "go.func.*" // before Go 1.20
	symbolFirstModule = "runtime.firstmoduledata"
	symbolWaitReasons = "runtime.waitReasonStrings"
	symbolAllgLen     = "runtime.allglen"
	symbolAllgPtr     = "runtime.allgptr"
)

// Sections that hold the function table, by build mode and release (cmd/link/internal/ld/data.go).
var pclntabSections = []string{".gopclntab", ".data.rel.ro.gopclntab"}

// findTable returns the function table's address and bytes. A program linked by an external linker as a position-independent
// executable before Go 1.26 has it inside a section of another name: then the header is searched.
func findTable(im *image) (uint64, []byte, error) {
	for _, name := range pclntabSections {
		if address, data := im.section(name); pclntab.IsTable(data) {
			return address, data, nil
		}
	}
	for _, name := range []string{".data.rel.ro", ".rodata"} {
		address, data := im.section(name)
		if i := searchTable(data); i >= 0 {
			return address + uint64(i), data[i:], nil
		}
	}
	if len(im.file.Sections) == 0 {
		return 0, nil, errors.New("the file has no section headers, as some tools that strip or pack files leave it: they tell where the function table is")
	}
	return 0, nil, errors.New("no Go function table (.gopclntab) of Go 1.17 or later")
}

// searchTable returns the index of a function table's header, which stands at a multiple of its alignment.
func searchTable(data []byte) int {
	const alignment = 32
	for i := 0; i+alignment <= len(data); i += alignment {
		if data[i+1] == 0xff && data[i+2] == 0xff && data[i+3] == 0xff && pclntab.IsTable(data[i:]) {
			if t, err := pclntab.New(data[i:], pclntab.Place{}); err == nil && t.Len() > 100 {
				return i
			}
		}
	}
	return -1
}

// moduledata returns the address of runtime.firstmoduledata, whose first word points at the function table: from its own
// section (Go 1.26 and later), the symbol table, or a search of the data.
func moduledata(im *image, symbols map[string]elf.Symbol, layout *Layout, table uint64) (uint64, bool) {
	if address, data := im.section(".go.module"); data != nil {
		return address, true
	}
	if s, ok := symbols[symbolFirstModule]; ok {
		return s.Value, true
	}
	if im.file.Type == elf.ET_DYN {
		return relocatedModuledata(im, layout, table)
	}
	want := binary.LittleEndian.AppendUint64(nil, table)
	for _, name := range []string{".noptrdata", ".data"} {
		address, data := im.section(name)
		for at := 0; ; at += 8 {
			i := bytes.Index(data[at:], want)
			if i < 0 {
				break
			}
			at += i
			if (address+uint64(at))%8 == 0 {
				return address + uint64(at), true
			}
		}
	}
	return 0, false
}

// relocatedModuledata finds runtime.firstmoduledata in a position-independent executable: the dynamic linker stores the address of the
// function table into its first word, and the one that the table's own header gives, runtime.text, into another.
func relocatedModuledata(im *image, layout *Layout, table uint64) (found uint64, ok bool) {
	text, known := im.dynamicAddend(table + headerText)
	if !known {
		return 0, false
	}
	candidates := map[uint64]bool{}
	im.relocations(func(address, value uint64) bool {
		if value == table {
			candidates[address] = true
		}
		return true
	})
	im.relocations(func(address, value uint64) bool {
		if at := address - uint64(layout.Moduledata.Text); value == text && candidates[at] {
			found, ok = at, true
		}
		return !ok
	})
	return found, ok
}

// headerText is the offset of runtime.pcHeader.textStart (runtime/symtab.go).
const headerText = 24

// table says where the function table is and what it needs from elsewhere: the addresses of its header, of runtime.text, and of the
// functions' data (moduledata.gofunc), 0 if not found.
type table struct {
	header, text, gofunc uint64
}

func (t table) open(im *image) (*pclntab.Table, error) {
	data := im.from(t.header)
	if pclntab.IsAbsolute(data) && im.file.Type == elf.ET_DYN {
		data = im.relocated(t.header, len(data)) // an external linker leaves the addresses to the dynamic one
	}
	return pclntab.New(data, pclntab.Place{Text: t.text, GoFunc: t.gofunc, Memory: im.from})
}

// locateTable finds the function table. A wrong runtime.text would shift every address, so it is taken only from what states it: never
// from the start of a section (facts: cgo and race builds begin theirs earlier).
func locateTable(im *image, symbols map[string]elf.Symbol, layout *Layout) (table, error) {
	address, data, err := findTable(im)
	if err != nil {
		return table{}, err
	}
	if pclntab.IsAbsolute(data) {
		return table{header: address}, nil
	}
	module, hasModule := moduledata(im, symbols, layout, address)
	text := symbols[symbolText].Value
	if text == 0 && hasModule {
		text, _ = im.pointer(module + uint64(layout.Moduledata.Text))
	}
	if text == 0 {
		if text, err = pclntab.TextStart(data); err != nil {
			return table{}, err
		}
		if text == 0 {
			text, _ = im.dynamicAddend(address + headerText) // of a position-independent executable
		}
	}
	if text == 0 {
		return table{}, errors.New("the start of the Go code (runtime.text) is not to be found")
	}
	gofunc := symbols[symbolGoFunc].Value
	if gofunc == 0 {
		gofunc = symbols[symbolGoFuncOld].Value
	}
	if gofunc == 0 && hasModule && layout.Moduledata.GoFunc != 0 {
		gofunc, _ = im.pointer(module + uint64(layout.Moduledata.GoFunc))
	}
	return table{header: address, text: text, gofunc: gofunc}, nil
}

// readReasons reads runtime.waitReasonStrings of an executable file with an ELF symbol table.
func readReasons(im *image) ([]string, error) {
	s, ok := symbolTable(im, symbolWaitReasons)[symbolWaitReasons]
	if !ok || s.Size/stringHeaderSize > maxWaitReasons {
		return nil, errors.New("no symbol " + symbolWaitReasons)
	}
	return readStrings(im, s.Value, int(s.Size/stringHeaderSize))
}
