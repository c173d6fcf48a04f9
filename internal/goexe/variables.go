package goexe

import (
	"encoding/binary"
	"fmt"
)

// Functions whose code tells, in a binary without symbols, where variables of package runtime are.
const (
	allgadd          = "runtime.allgadd"           // sets allgptr and allglen (runtime/proc.go)
	waitReasonString = "runtime.waitReason.String" // indexes waitReasonStrings (runtime/runtime2.go)
)

const (
	maxWaitReasons   = 256 // what fits into the one byte of g.waitreason
	maxReasonLength  = 100
	maxCandidates    = 8  // addresses that may be that of waitReasonStrings: its function has two
	stringHeaderSize = 16 // a pointer and a length
)

// maxAnchor bounds the code of a function that shows where a variable is, in bytes: they have less than one KB.
const maxAnchor = 4 << 10

// named returns the function of a name. Where there are two, the first is it, and the other a wrapper of another ABI.
func named(functions []function, name string) (function, bool) {
	for _, f := range functions {
		if f.name == name {
			return f, len(f.code) <= maxAnchor
		}
	}
	return function{}, false
}

// readStrings reads an array of Go strings, the first of which is empty (runtime.waitReasonZero).
func readStrings(im *image, address uint64, count int) ([]string, error) {
	headers := im.relocated(address, stringHeaderSize*count)
	if headers == nil {
		return nil, fmt.Errorf("no %d strings at %#x", count, address)
	}
	texts := make([]string, count)
	for i := range texts {
		h := headers[stringHeaderSize*i:]
		pointer, length := binary.LittleEndian.Uint64(h), binary.LittleEndian.Uint64(h[8:])
		if length == 0 != (i == 0) || length > maxReasonLength {
			return nil, fmt.Errorf("string %d at %#x has %d bytes", i, address, length)
		}
		text := im.between(pointer, pointer+length)
		if text == nil && length > 0 {
			return nil, fmt.Errorf("string %d at %#x points outside the file", i, address)
		}
		texts[i] = string(text)
	}
	return texts, nil
}
