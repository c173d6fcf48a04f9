//go:build linux

package processes

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// mapping is a part of a file in a process's memory.
type mapping struct {
	start, end  uint64 // addresses
	offset      uint64 // in the file
	permissions string
}

// mappings returns the parts of its executable that are mapped, in ascending order.
func (p Process) mappings() ([]mapping, error) {
	file, err := os.Open(p.path("maps"))
	if err != nil {
		return nil, noProcess(p.PID, err)
	}
	defer file.Close()
	maps := bufio.NewReader(file)
	if _, err := maps.Peek(1); errors.Is(err, io.EOF) { // it is ending
		return nil, noProcess(p.PID, os.ErrNotExist)
	}
	found, err := mappingsOf(maps, p.Executable)
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", p.PID, err)
	}
	return found, nil
}

// mappingsOf returns the mappings of a file. A process may have hundreds of megabytes of lines about others, which are not kept. The file is
// known by its path: the inode that is shown may be another than that of the file that was executed, on an overlay the one of the file below.
func mappingsOf(maps io.Reader, file string) (found []mapping, err error) {
	escaped := strings.ReplaceAll(file, "\n", `\012`) // the only character that the kernel escapes here (show_map_vma in fs/proc/task_mmu.c)
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		// address-address permissions offset device inode path, with one space between them and more before the path
		fields := strings.SplitN(lines.Text(), " ", 6)
		if len(fields) < 6 {
			continue
		}
		path := strings.TrimLeft(fields[5], " ")
		if path != escaped && path != escaped+deletedSuffix {
			continue
		}
		m := mapping{permissions: fields[1]}
		start, end, _ := strings.Cut(fields[0], "-")
		for text, number := range map[string]*uint64{start: &m.start, end: &m.end, fields[2]: &m.offset} {
			if *number, err = strconv.ParseUint(text, 16, 64); err != nil {
				return nil, fmt.Errorf("/proc maps: %w", err)
			}
		}
		found = append(found, m)
	}
	return found, lines.Err()
}

// Bias returns how far above its link-time addresses the process's executable lies, whose first page is linked at base.
func (p Process) Bias(base uint64) (uint64, error) {
	all, err := p.mappings()
	if err != nil {
		return 0, err
	}
	for _, m := range all {
		if m.offset == 0 {
			return m.start - base, nil
		}
	}
	return 0, fmt.Errorf("process %d: its executable is not mapped", p.PID)
}

// runs tells whether the process runs a file, as far as can be told: it is false if a page of its code is another than that of the file.
func (p Process) runs(file *os.File) (bool, error) {
	all, err := p.mappings()
	if err != nil {
		return false, err
	}
	pagemap, err := os.Open(p.path("pagemap"))
	if errors.Is(err, os.ErrPermission) { // it belongs to another user, and this process has no CAP_DAC_READ_SEARCH
		return true, nil
	}
	if err != nil {
		return false, noProcess(p.PID, err)
	}
	defer pagemap.Close()
	for _, m := range all {
		if !strings.Contains(m.permissions, "x") {
			continue
		}
		if same, err := m.of(file, pagemap); err == nil {
			return same, nil
		}
	}
	return true, nil
}

// maxPages is how many pages of code are looked at.
const maxPages = 64 << 10

var errNoPages = errors.New("no page of the file is in memory")

// of compares a page that the mapping has in memory with the file's own.
func (m mapping) of(file, pagemap *os.File) (bool, error) {
	size := uint64(os.Getpagesize())
	pages := make([]byte, pagemapEntry*min((m.end-m.start)/size, maxPages))
	if _, err := pagemap.ReadAt(pages, int64(m.start/size*pagemapEntry)); err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	for i := uint64(0); i < uint64(len(pages)); i += pagemapEntry {
		theirs := binary.NativeEndian.Uint64(pages[i:])
		if theirs&pagePresent == 0 || theirs&pageOfFile == 0 || theirs&pageFrame == 0 {
			continue
		}
		own, err := mapPageAt(file, int64(m.offset+i/pagemapEntry*size))
		if err != nil {
			return false, err
		}
		frame, err := own.frame()
		if err = errors.Join(err, own.unmap()); err != nil {
			return false, err
		}
		if frame == theirs&pageFrame {
			return true, nil
		}
		// The kernel may have moved the page meanwhile.
		if _, err := pagemap.ReadAt(pages[i:i+pagemapEntry], int64((m.start/size*pagemapEntry)+i)); err != nil {
			return false, err
		}
		if again := binary.NativeEndian.Uint64(pages[i:]); frame != 0 && again == theirs {
			return false, nil
		}
	}
	return false, errNoPages
}
