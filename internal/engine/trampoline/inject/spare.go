//go:build linux

package inject

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
)

// spare returns where a stub can be for a moment: bytes of executable pages that nothing uses, and that are zero.
func (p *process) spare() (uint64, error) {
	slots, err := p.slots()
	if err != nil {
		return 0, err
	}
	for range 2 {
		for _, at := range slots {
			if b, err := p.read(at, stubSize); err != nil {
				return 0, err
			} else if isZero(b) {
				return at, nil
			}
		}
		if err := p.clean(slots); err != nil {
			return 0, err
		}
	}
	return 0, engine.Refuse(engine.RefusedNoRoom, "no executable page has %d bytes that are free", stubSize)
}

// slots returns where there can be stubs: in the executable, else in its libraries.
func (p *process) slots() (slots []uint64, err error) {
	all, err := p.mappings()
	if err != nil {
		return nil, err
	}
	own, _, err := all.image(p.code)
	if err != nil {
		return nil, engine.Refuse(engine.RefusedMemoryProtection, "%w", err)
	}
	if slots, err = p.slotsIn(own); err != nil || len(slots) > 0 {
		return slots, err
	}
	for _, m := range all {
		if !m.executable() || m.inode == 0 || m.permissions[3] != 'p' {
			continue
		}
		more, err := p.slotsIn(m)
		if err != nil {
			return nil, err
		}
		slots = append(slots, more...)
	}
	return slots, nil
}

// slotsIn returns where a mapping of a file's code has room.
func (p *process) slotsIn(m mapping) ([]uint64, error) {
	file, err := os.Open(m.file(p))
	if err != nil {
		return nil, refuseIfDenied(err)
	}
	defer file.Close()
	gaps, err := gapsIn(file, m.offset, m.end-m.start)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.path, err)
	}
	var slots []uint64
	for _, g := range gaps {
		for at := (g.begin + 15) &^ 15; at+stubSize <= g.end; at += stubSize {
			slots = append(slots, m.start+at-m.offset)
		}
	}
	return slots, nil
}

// file is a path that leads to the file itself, whatever is at its path now.
func (m mapping) file(p *process) string {
	return fmt.Sprintf("%s/map_files/%x-%x", p.proc, m.start, m.end)
}

// gap is a part of a file, as offsets, that holds zeros.
type gap struct{ begin, end uint64 }

// The layout of ELF files (elf(5)), as far as it is needed.
const (
	elfHeader     = 64
	programHeader = 56
	typeLoad      = 1
	flagExecute   = 1
)

// gapsIn returns the parts that nothing uses of what a process has mapped of an ELF file's code: behind the headers in the file's first
// page, and behind the end of the segment in its last page.
func gapsIn(file io.ReaderAt, offset, size uint64) (gaps []gap, err error) {
	first, err := page(file, 0)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(first, []byte("\x7fELF\x02\x01")) {
		return nil, errors.New("not an ELF file")
	}
	le := binary.LittleEndian
	segments, count := le.Uint64(first[32:]), uint64(le.Uint16(first[56:]))
	if segments > pageSize || count > pageSize/programHeader || segments+count*programHeader > pageSize {
		return nil, errors.New("its program headers are not in the first page")
	}
	if begin := headersEnd(first); offset == 0 && begin < pageSize {
		gaps = append(gaps, gap{begin, begin + uint64(zeros(first[begin:]))})
	}
	for i := range count {
		h := first[segments+i*programHeader:]
		begin, length := le.Uint64(h[8:]), le.Uint64(h[32:])
		if le.Uint32(h) != typeLoad || le.Uint32(h[4:])&flagExecute == 0 || begin&^(pageSize-1) != offset || begin+length > offset+size || length == 0 {
			continue
		}
		end := begin + length
		last, err := page(file, end&^(pageSize-1))
		if err != nil {
			return nil, err
		}
		if rest := last[end%pageSize:]; end%pageSize != 0 && zeros(rest) == len(rest) {
			gaps = append(gaps, gap{end, end + uint64(len(rest))})
		}
	}
	return gaps, nil
}

// headersEnd returns where the headers in a file's first page end.
func headersEnd(first []byte) uint64 {
	le := binary.LittleEndian
	end := max(elfHeader, le.Uint64(first[32:])+uint64(le.Uint16(first[56:]))*programHeader)
	if sections := le.Uint64(first[40:]); sections < pageSize {
		end = max(end, sections+uint64(le.Uint16(first[58:]))*uint64(le.Uint16(first[60:])))
	}
	return end
}

// page reads a page of a file, with zeros behind the file's end, as they are in memory.
func page(file io.ReaderAt, offset uint64) ([]byte, error) {
	b := make([]byte, pageSize)
	if _, err := file.ReadAt(b, int64(offset)); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b, nil
}

// zeros returns how many zeros b begins with.
func zeros(b []byte) int {
	if i := slices.IndexFunc(b, func(x byte) bool { return x != 0 }); i >= 0 {
		return i
	}
	return len(b)
}

func isZero(b []byte) bool { return zeros(b) == len(b) }
