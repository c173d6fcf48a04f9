// Package pclntab reads the function table that every Go binary since Go 1.17 carries for its own stack traces, stripped or not:
// names, files and lines, what was inlined, and which function a compiler-made wrapper wraps. debug/gosym reads the first three of
// these but neither of the last two, and builds a copy of the table in memory; this package reads in place.
//
// The table comes from a stranger's file: every read is checked, and what lies is an error or an empty answer.
package pclntab

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sort"
)

// maxFunctions bounds how many functions a table may have: a program of 200 MB has 300 000.
const maxFunctions = 4 << 20

// ErrFormat is wrapped by all errors about a table that cannot be read.
var ErrFormat = errors.New("unreadable pclntab")

// Table is a function table in place. It is safe for concurrent use.
type Table struct {
	*format
	data    []byte
	gofunc  []byte
	memory  func(address uint64) []byte
	text    uint64
	quantum uint64
	nfunc   int
	names   []byte
	cus     []byte
	files   []byte
	pcs     []byte
	funcs   []byte // functab, followed by the functions' records
	texts   texts
}

// TextStart returns the address of runtime.text that the table's header gives; of Go 1.17, and since Go 1.26, that is 0.
func TextStart(data []byte) (uint64, error) {
	t, err := header(data)
	if err != nil {
		return 0, err
	}
	return t.text, nil
}

// IsAbsolute tells whether data begins like a table of Go 1.17: one that needs no runtime.text, but holds addresses, which the dynamic
// linker stores into that of a position-independent executable.
func IsAbsolute(data []byte) bool {
	f := formatOf(data)
	return f != nil && f.absolute
}

// IsTable tells whether data begins like a table of a known version.
func IsTable(data []byte) bool { return formatOf(data) != nil }

// Place says where in a program is what a table refers to.
type Place struct {
	// Text is the address of runtime.text, which only old headers hold. A table of Go 1.17 does not need it.
	Text uint64
	// GoFunc is the value of runtime.moduledata.gofunc (symbol go:func.*), 0 if it is not known; then Frames knows nothing of what was
	// inlined, and Wrapped nothing. A table of Go 1.17 does not need it.
	GoFunc uint64
	// Memory returns the program's memory, as linked, from an address on; nil if nothing is there. It may be nil.
	Memory func(address uint64) []byte
}

// New reads a table's header.
func New(data []byte, at Place) (*Table, error) {
	t, err := header(data)
	if err != nil {
		return nil, err
	}
	t.text, t.memory = at.Text, at.Memory
	if t.absolute {
		t.text = 0
	}
	if t.memory == nil {
		t.memory = func(uint64) []byte { return nil }
	}
	if at.GoFunc != 0 {
		t.gofunc = t.memory(at.GoFunc)
	}
	return t, nil
}

func header(data []byte) (*Table, error) {
	f := formatOf(data)
	if f == nil {
		return nil, fmt.Errorf("%w: no header of Go 1.17 or later", ErrFormat)
	}
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(data[8+8*i:]) }
	t := &Table{format: f, data: data, quantum: uint64(data[6])}
	if !f.absolute {
		t.text = word(headerText)
	}
	for i, part := range []*[]byte{&t.names, &t.cus, &t.files, &t.pcs, &t.funcs} {
		offset := word(f.parts + i)
		if offset > uint64(len(data)) {
			return nil, fmt.Errorf("%w: part %d begins at %#x of %#x", ErrFormat, i, offset, len(data))
		}
		*part = data[offset:]
	}
	nfunc, entry := word(0), uint64(f.entrySize)
	if nfunc == 0 || nfunc > maxFunctions || nfunc > uint64(len(t.funcs))/entry || entry*nfunc+entry/2 > uint64(len(t.funcs)) {
		return nil, fmt.Errorf("%w: %d functions", ErrFormat, nfunc)
	}
	t.nfunc = int(nfunc)
	return t, nil
}

// Len returns the number of functions.
func (t *Table) Len() int { return t.nfunc }

// Func is one function of a table.
type Func struct {
	table *Table
	// Entry and End are the addresses of its first instruction and behind its last, as linked.
	Entry, End uint64
	record     []byte
}

func u32(b []byte, offset int) (uint32, bool) {
	if offset < 0 || offset+4 > len(b) {
		return 0, false
	}
	return binary.LittleEndian.Uint32(b[offset:]), true
}

func u64(b []byte, offset int) (uint64, bool) {
	if offset < 0 || offset+8 > len(b) {
		return 0, false
	}
	return binary.LittleEndian.Uint64(b[offset:]), true
}

// entry returns the address of the i-th function, and for the one behind the last the end of the code.
func (t *Table) entry(i int) uint64 {
	v, _ := t.functab(t.entrySize * i)
	return t.text + v
}

// functab returns a value of the list of functions: what has the size of a pointer in Go 1.17 has half of it since.
func (t *Table) functab(offset int) (uint64, bool) {
	if t.absolute {
		return u64(t.funcs, offset)
	}
	v, ok := u32(t.funcs, offset)
	return uint64(v), ok
}

// Func returns the i-th function in the order of addresses.
func (t *Table) Func(i int) (Func, bool) {
	if i < 0 || i >= t.nfunc {
		return Func{}, false
	}
	offset, _ := t.functab(t.entrySize*i + t.entrySize/2)
	f := Func{table: t, Entry: t.entry(i), End: t.entry(i + 1)}
	if offset >= uint64(len(t.funcs)) || f.End < f.Entry {
		return Func{}, false
	}
	f.record = t.funcs[offset:]
	if len(f.record) < t.recordSize {
		return Func{}, false
	}
	return f, true
}

// Find returns the function that holds the instruction at pc.
func (t *Table) Find(pc uint64) (Func, bool) {
	i := sort.Search(t.nfunc, func(i int) bool { return t.entry(i) > pc })
	f, ok := t.Func(i - 1)
	return f, ok && pc < f.End
}

func (f Func) field(offset int) uint32 {
	v, _ := u32(f.record, offset+f.table.recordShift)
	return v
}

// Name returns the function's linker symbol name, such as "net/http.(*conn).serve".
func (f Func) Name() string { return f.table.texts.at(f.table.names, f.field(recordName)) }

// NameInPlace returns the function's name as the table holds it: who looks at names of many functions need not keep them.
func (f Func) NameInPlace() []byte {
	offset, names := uint64(f.field(recordName)), f.table.names
	if offset >= uint64(len(names)) {
		return nil
	}
	return textIn(names[offset:])
}

// HasNamePrefix tells, without looking for its end, whether the function's name begins with a text.
func (f Func) HasNamePrefix(prefix string) bool {
	offset, names := uint64(f.field(recordName)), f.table.names
	return offset < uint64(len(names)) && bytes.HasPrefix(names[offset:], []byte(prefix))
}

// Line returns file and line of the instruction at pc; "" and 0 if the table does not tell.
func (f Func) Line(pc uint64) (string, int) {
	steps := maxSteps
	return f.line(pc, &steps)
}

// line is Line, with a bound on how many steps through the table's sequences are left.
func (f Func) line(pc uint64, steps *int) (string, int) {
	line, ok := f.table.valueAt(f.field(recordLine), f.Entry, pc, steps)
	if !ok {
		return "", 0
	}
	file, ok := f.table.valueAt(f.field(recordFile), f.Entry, pc, steps)
	if !ok || file < 0 {
		return "", int(line)
	}
	index := int64(f.field(recordCU)) + int64(file)
	offset, ok := u32(f.table.cus, int(4*index))
	if !ok {
		return "", int(line)
	}
	return f.table.texts.at(f.table.files, offset), int(line)
}

// maxSteps bounds how many steps through sequences a look-up takes: those of a function of a megabyte have a hundred thousand.
const maxSteps = 1 << 20

// valueAt looks up pc in one of the table's sequences, in the steps that are left.
func (t *Table) valueAt(offset uint32, entry, pc uint64, steps *int) (int32, bool) {
	s := t.sequence(offset, entry)
	for s.next(steps) {
		if pc < s.end {
			return s.value, true
		}
	}
	return 0, false
}

// sequence is a delta-encoded list of values of parts of a function (runtime.pcvalue in runtime/symtab.go).
type sequence struct {
	rest    []byte
	quantum uint64
	begun   bool
	// value is that of the part which next has come to, end the address behind it.
	value int32
	end   uint64
}

func (t *Table) sequence(offset uint32, entry uint64) sequence {
	s := sequence{quantum: t.quantum, value: -1, end: entry}
	if offset != 0 && uint64(offset) < uint64(len(t.pcs)) {
		s.rest = t.pcs[offset:]
	}
	return s
}

// next goes on to the next part, if there is one and steps are left.
func (s *sequence) next(steps *int) bool {
	if *steps <= 0 {
		return false
	}
	*steps--
	delta, n := binary.Uvarint(s.rest)
	if n <= 0 || delta == 0 && s.begun {
		return false
	}
	step, m := binary.Uvarint(s.rest[n:])
	if m <= 0 {
		return false
	}
	s.rest, s.begun = s.rest[n+m:], true
	s.value += int32(delta>>1) ^ -int32(delta&1)
	s.end += step * s.quantum
	return true
}
