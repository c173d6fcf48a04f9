package goexe

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Limits against what an ELF header may claim. A program of 200 MB has some 50 sections, with names of 600 bytes together, and four
// segments that are loaded.
const (
	maxNames    = 64 << 20 // bytes of the names of all sections, if each is as long as it can be
	maxSegments = 64
)

// headers says where the section headers of an ELF file are (elf(5)). Offsets and sizes are in bytes.
type headers struct {
	order                 binary.ByteOrder
	at, size, count       uint64
	names                 uint64 // index of the section that holds the names of all
	flagsAt, sizeAt, word int    // where in a header a section's flags and size are, and how long they are
}

// checkHeader refuses a file of which debug/elf would make far more than the file itself: it copies the name of each section, of which
// there may be tens of thousands that all point to the same megabyte.
func checkHeader(file io.ReaderAt) error {
	h, err := readHeaders(file)
	if err != nil || h.at == 0 {
		return err
	}
	if h.count == 0 || h.names >= uint64(elf.SHN_LORESERVE) {
		return errors.New("the file has more sections than an executable has")
	}
	header := make([]byte, h.sizeAt+h.word)
	begin := h.at + h.names*h.size
	if int(h.size) < len(header) || begin > math.MaxInt64 {
		return errors.New("the section headers are outside the file")
	}
	if _, err := file.ReadAt(header, int64(begin)); err != nil {
		return fmt.Errorf("the section headers are outside the file: %w", err)
	}
	if elf.SectionFlag(h.number(header[h.flagsAt:]))&elf.SHF_COMPRESSED != 0 {
		return errors.New("the names of sections are compressed")
	}
	if names := h.number(header[h.sizeAt:]); names > 0 && h.count > maxNames/names {
		return fmt.Errorf("%d sections claim names in a section of %d bytes", h.count, names)
	}
	return nil
}

func (h headers) number(data []byte) uint64 {
	if h.word == 4 {
		return uint64(h.order.Uint32(data))
	}
	return h.order.Uint64(data)
}

// readHeaders reads the ELF header of a file of either size and order of bytes.
func readHeaders(file io.ReaderAt) (headers, error) {
	data := make([]byte, 64) // the size of Elf64_Ehdr, the longer one
	if _, err := file.ReadAt(data, 0); err != nil || string(data[:len(elf.ELFMAG)]) != elf.ELFMAG {
		return headers{}, errors.New("not an ELF file")
	}
	h := headers{order: binary.LittleEndian, flagsAt: 8, sizeAt: 32, word: 8}
	if elf.Data(data[elf.EI_DATA]) == elf.ELFDATA2MSB {
		h.order = binary.BigEndian
	}
	offset, sizes := 0x28, 0x3a
	if elf.Class(data[elf.EI_CLASS]) == elf.ELFCLASS32 {
		h.sizeAt, h.word = 20, 4
		offset, sizes = 0x20, 0x2e
	}
	half := func(i int) uint64 { return uint64(h.order.Uint16(data[sizes+2*i:])) }
	h.at, h.size, h.count, h.names = h.number(data[offset:]), half(0), half(1), half(2)
	return h, nil
}
