//go:build linux

package inject

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
)

// memoryPath is how /proc shows the shared memory.
const memoryPath = "/memfd:" + MemoryName + " (deleted)"

// leftover returns the shared memory that an earlier installation left in the process, nil if there is none. It is not locked.
func (p *process) leftover(all mappings) (*shared, error) {
	for _, m := range all {
		if m.path != memoryPath || m.offset != 0 {
			continue
		}
		s, err := openShared(m.file(p))
		if err != nil {
			return nil, err
		}
		words, err := s.words(ring.OffMagic, ring.OffCode, ring.OffData)
		// A collector has mapped what its processes have elsewhere.
		if err == nil && words[0] == ring.Magic && (words[2] == m.start || words[2] == 0) {
			s.text, s.data = words[1], m.start
			return s, nil
		}
		if err := s.close(); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// textOf returns the memory for trampolines that is where the shared memory says; it may be that of another version.
func (s *shared) textOf(all mappings) (text mapping, ok bool) {
	text, ok = all.at(s.text)
	return text, ok && text.start == s.text && text.inode == 0 && text.permissions == "r-xp"
}

// fits tells whether what was left is what a program would be given now: of this version, with the same trampolines at the same addresses.
func (p *process) fits(s *shared, all mappings, program Program) (bool, error) {
	words, err := s.words(ring.OffVersion, ring.OffCPUs, ring.OffBits, ring.OffCodeSize)
	if err != nil {
		return false, err
	}
	info, err := s.file.Stat()
	if err != nil {
		return false, err
	}
	g := ring.Geometry{CPUs: uint32(words[1]), Bits: uint32(words[2])}
	text, ok := s.textOf(all)
	if words[0] != ring.Version || g != program.Geometry || info.Size() != int64(g.Size()) || !ok || text.end-text.start != TextSize {
		return false, nil
	}
	code, _, err := program.Assemble(s.text, s.data)
	if err != nil || words[3] == 0 { // no thread was ever in them
		return err == nil, nil
	}
	there, err := p.read(s.text, len(code))
	return err == nil && bytes.Equal(there, code), err
}

// undo puts back what another version of this collector has replaced, as far as the executable file says what that was. Its memory stays
// mapped, without pages, for there may be signal handlers that return into the trampolines.
func (p *process) undo(s *shared, all mappings) error {
	noted, err := s.patches()
	if err != nil {
		return err
	}
	text, ok := s.textOf(all)
	if !ok { // then nothing was replaced
		noted = nil
	}
	var restore []swap
	for _, site := range noted {
		jump, original, err := p.jumpAt(all, site, text)
		if err != nil {
			return err
		}
		if jump != nil {
			restore = append(restore, swap{site.Address, jump, original})
		}
	}
	if len(restore) > 0 {
		err := p.trace(func(t *tracer) error {
			if err := t.stopAll(); err != nil {
				return err
			}
			return t.restore(restore)
		})
		if err != nil {
			return err
		}
	}
	return errors.Join(s.setWord(ring.OffMagic, 0), s.punch(0))
}

// jumpAt returns the jump to trampolines at an address, and what the executable has there; nothing if there is no jump.
func (p *process) jumpAt(all mappings, site Site, text mapping) (jump, original []byte, err error) {
	code, _, err := all.image(site.Address)
	own, _, ownErr := all.image(p.code)
	if err != nil || ownErr != nil || code != own || len(site.Code) < jumpSize || len(site.Code) > longestInstruction {
		return nil, nil, nil // a lie: there can be no jump
	}
	original = make([]byte, len(site.Code))
	file, err := os.Open(code.file(p))
	if err != nil {
		return nil, nil, refuseIfDenied(err)
	}
	defer file.Close()
	if _, err := file.ReadAt(original, int64(site.Address-code.start+code.offset)); err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", code.path, err)
	}
	there, err := p.read(site.Address, len(site.Code))
	if err != nil {
		return nil, nil, err
	}
	if to, ok := jumpsTo(site.Address, there); !ok || !text.holds(to) {
		return nil, nil, nil
	}
	return there, original, nil
}

// strays returns the descriptors of shared memory that a collector which died while it installed has left open in the process.
func (p *process) strays() (strays []uint64, err error) {
	entries, err := os.ReadDir(p.proc + "/fd")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errGone, err)
	}
	for _, e := range entries {
		fd, err := strconv.ParseUint(e.Name(), 10, 32)
		if err != nil {
			continue
		}
		if stray, err := p.isStray(fd); err != nil {
			return nil, err
		} else if stray {
			strays = append(strays, fd)
		}
	}
	return strays, nil
}

// isStray tells whether a descriptor is of shared memory that nobody uses: a process that is a collector has others open, and locked.
func (p *process) isStray(fd uint64) (bool, error) {
	path := p.descriptor(fd)
	if to, err := os.Readlink(path); err != nil || !strings.HasPrefix(to, "/memfd:"+MemoryName+" ") {
		return false, nil
	}
	s, err := openShared(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer s.close()
	err = s.free()
	if r := (*engine.Refusal)(nil); errors.As(err, &r) {
		return false, nil
	}
	return err == nil, err
}

// isGone tells whether an error says that the process has ended.
func isGone(err error) bool { return errors.Is(err, unix.ESRCH) }
