package goexe

import (
	"bytes"
	"compress/zlib"
	"debug/dwarf"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// errNoDebugInfo is wrapped by the error about a file without debug information.
var errNoDebugInfo = errors.New("no debug information")

// maxCompression is how much smaller deflate can make what it compresses, at the very most (zlib.net/zlib_tech.html).
const maxCompression = 1032

// maxDebugInfo bounds what is read of a section of debug information, in bytes, as it is when it is no longer compressed. Package runtime
// is among the first in it, for it depends on few others, and its types are the first of all: of a program of 180 MB, they are in the first
// megabyte.
const maxDebugInfo = 4 << 20

// debugInfo returns what is needed of the debug information to read types and constants of package runtime: neither lines nor ranges, nor
// what stands far behind.
func debugInfo(im *image) (*dwarf.Data, error) {
	parts := map[string][]byte{}
	for _, name := range []string{"abbrev", "info", "str", "line_str", "str_offsets", "addr"} {
		data, err := im.debugSection(name)
		if err != nil {
			return nil, fmt.Errorf("debug information: section %s: %w", name, err)
		}
		parts[name] = data
	}
	if parts["info"] == nil {
		return nil, errNoDebugInfo
	}
	d, err := dwarf.New(parts["abbrev"], nil, nil, shortened(parts["info"]), nil, nil, nil, parts["str"])
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"line_str", "str_offsets", "addr"} {
		if err := d.AddSection(".debug_"+name, parts[name]); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// shortened makes the last unit end where the data ends, which may be in its midst. Units begin with their length, in four bytes: Go's have
// less than 4 GiB.
func shortened(info []byte) []byte {
	const header = 4
	info = bytes.Clone(info)
	for rest := info; len(rest) >= header; {
		length := uint64(binary.LittleEndian.Uint32(rest))
		if left := uint64(len(rest) - header); length > left {
			binary.LittleEndian.PutUint32(rest, uint32(left))
			break
		}
		rest = rest[header+length:]
	}
	return info
}

// debugSection returns a section of debug information, of the first bytes what may be read; nil if there is none.
func (im *image) debugSection(name string) ([]byte, error) {
	if _, data := im.section(".zdebug_" + name); data != nil { // of Go 1.17 and 1.18
		const header = 12 // "ZLIB" and the size
		if len(data) < header || string(data[:4]) != "ZLIB" {
			return nil, errors.New("not compressed as its name says")
		}
		return decompress(data[header:], binary.BigEndian.Uint64(data[4:]))
	}
	s := im.file.Section(".debug_" + name)
	_, data := im.section(".debug_" + name)
	if data == nil || s.Flags&elf.SHF_COMPRESSED == 0 {
		return data[:min(len(data), maxDebugInfo)], nil
	}
	const header = 24 // of Elf64_Chdr
	if len(data) < header || elf.CompressionType(binary.LittleEndian.Uint32(data)) != elf.COMPRESS_ZLIB {
		return nil, errors.New("compressed in an unknown way")
	}
	return decompress(data[header:], binary.LittleEndian.Uint64(data[8:]))
}

// decompress returns the first bytes of what was size bytes before it was compressed.
func decompress(data []byte, size uint64) ([]byte, error) {
	if size > maxCompression*uint64(len(data)) {
		return nil, fmt.Errorf("%d bytes claim to be %d", len(data), size)
	}
	r, err := zlib.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	out := make([]byte, min(size, maxDebugInfo))
	if _, err := io.ReadFull(r, out); err != nil {
		return nil, err
	}
	return out, nil
}
