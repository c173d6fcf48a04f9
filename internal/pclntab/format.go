package pclntab

import (
	"encoding/binary"
	"go/version"
)

// format is how the tables of some releases are laid out (internal/abi/symtab.go and runtime/runtime2.go; cmd/link/internal/ld/pcln.go).
type format struct {
	magic uint32
	// since is the first release that writes it.
	since string
	// absolute tells that the table holds addresses: of the functions, and of their data. Later ones hold distances, from runtime.text and
	// from runtime.moduledata.gofunc.
	absolute bool
	// parts is the index, among the header's words, of the first of those that say where a part of the table begins.
	parts int
	// entrySize is the size of an element of the list of functions, in bytes.
	entrySize int
	// recordShift is how much further than since Go 1.18 the fields of a function's record are, in bytes; recordSize is its size.
	recordShift, recordSize int
	// inlined is the size of a runtime.inlinedCall, inlinedName and inlinedParent are where in it the name and the place of the call are.
	inlined, inlinedName, inlinedParent int
}

var formats = []format{
	{magic: 0xfffffffa, since: "go1.16", absolute: true, parts: 2, entrySize: 16, recordShift: 4, recordSize: 44, inlined: 20, inlinedName: 12, inlinedParent: 16},
	{magic: 0xfffffff0, since: "go1.18", parts: 3, entrySize: 8, recordSize: 40, inlined: 20, inlinedName: 12, inlinedParent: 16},
	{magic: 0xfffffff1, since: "go1.20", parts: 3, entrySize: 8, recordSize: 44, inlined: 16, inlinedName: 4, inlinedParent: 8},
}

// WrittenBy tells whether a release, such as "go1.26.8", writes tables of this format.
func (t *Table) WrittenBy(release string) bool {
	var its *format
	for i := range formats {
		if version.Compare(release, formats[i].since) >= 0 {
			its = &formats[i]
		}
	}
	return its == t.format
}

// headerText is the index of textStart among the header's words, from Go 1.18 on.
const headerText = 2

// formatOf returns the format of the table that data begins with, nil if there is none that is known.
func formatOf(data []byte) *format {
	if len(data) < 8+8*8 || data[4] != 0 || data[5] != 0 || data[6] != 1 && data[6] != 4 || data[7] != 8 {
		return nil
	}
	magic := binary.LittleEndian.Uint32(data)
	for i := range formats {
		if formats[i].magic == magic {
			return &formats[i]
		}
	}
	return nil
}

// Fields of a function's record (runtime._func in runtime/runtime2.go), from Go 1.18 on, in bytes. The number of its funcdata is its last
// byte.
const (
	recordName   = 4
	recordFile   = 20
	recordLine   = 24
	recordPCData = 28
	recordCU     = 32
)
