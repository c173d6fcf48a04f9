//go:build linux

package inject

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
)

// shared is the memory that a process shares with this one, as a file. As long as it is open it is locked against other collectors.
type shared struct {
	file *os.File
	// data and text are where the process has it and the trampolines.
	data, text uint64
}

// openShared opens the memory by a path in /proc.
func openShared(path string) (*shared, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, refuseIfDenied(err)
	}
	return &shared{file: file}, nil
}

func (s *shared) close() error { return s.file.Close() }

// lock keeps other collectors away. The kernel unlocks it when this process ends.
func (s *shared) lock() error {
	err := unix.FcntlFlock(s.file.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return engine.Refuse(engine.RefusedOther, "its trampolines are in use")
	}
	return err
}

// free returns an error if the memory is locked.
func (s *shared) free() error {
	l := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(s.file.Fd(), unix.F_OFD_GETLK, &l); err != nil {
		return err
	}
	if l.Type != unix.F_UNLCK {
		return engine.Refuse(engine.RefusedOther, "its trampolines are in use")
	}
	return nil
}

func (s *shared) inode() (uint64, error) {
	var st unix.Stat_t
	err := unix.Fstat(int(s.file.Fd()), &st)
	return st.Ino, err
}

// word reads one of the first page's.
func (s *shared) word(offset uint64) (uint64, error) {
	var b [8]byte
	_, err := s.file.ReadAt(b[:], int64(offset))
	return binary.LittleEndian.Uint64(b[:]), err
}

func (s *shared) words(offsets ...uint64) (words []uint64, err error) {
	for _, o := range offsets {
		w, err := s.word(o)
		if err != nil {
			return nil, fmt.Errorf("read shared memory: %w", err)
		}
		words = append(words, w)
	}
	return words, nil
}

func (s *shared) setWord(offset, value uint64) error {
	step()
	if _, err := s.file.WriteAt(binary.LittleEndian.AppendUint64(nil, value), int64(offset)); err != nil {
		return fmt.Errorf("write shared memory: %w", err)
	}
	return nil
}

// format gives the memory its size, and pages on this process's account.
func (s *shared) format(g ring.Geometry) error { return s.forUsed(ring.Format, g) }

// prepare gives memory that was used before its pages again.
func (s *shared) prepare(g ring.Geometry) error { return s.forUsed(ring.Allocate, g) }

// forUsed does something to the memory for the rings that are in use.
func (s *shared) forUsed(do func(fd int, g ring.Geometry, rings []int) error, g ring.Geometry) error {
	_, used, err := ring.Rings()
	if err != nil {
		return err
	}
	step()
	return do(int(s.file.Fd()), g, used)
}

// setPatches notes where instructions are replaced, before any is.
func (s *shared) setPatches(sites []Site) error {
	if len(sites) > ring.MaxPatches {
		return engine.Refuse(engine.RefusedCode, "%d instructions are to be replaced", len(sites))
	}
	if err := s.setWord(ring.OffPatchCount, 0); err != nil {
		return err
	}
	for i, site := range sites {
		if err := s.setWord(ring.OffPatches+8*uint64(i), site.Address|uint64(len(site.Code))<<ring.PatchLengthShift); err != nil {
			return err
		}
	}
	return s.setWord(ring.OffPatchCount, uint64(len(sites)))
}

// patches returns what setPatches noted, which is not to be trusted, without the code.
func (s *shared) patches() ([]Site, error) {
	count, err := s.word(ring.OffPatchCount)
	if err != nil {
		return nil, err
	}
	var sites []Site
	for i := range min(count, ring.MaxPatches) {
		w, err := s.word(ring.OffPatches + 8*i)
		if err != nil {
			return nil, err
		}
		sites = append(sites, Site{w & (1<<ring.PatchLengthShift - 1), make([]byte, w>>ring.PatchLengthShift)})
	}
	return sites, nil
}

// punch gives back the memory's pages from an offset on.
func (s *shared) punch(from uint64) error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	step()
	if err := unix.Fallocate(int(s.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, int64(from), info.Size()-int64(from)); err != nil {
		return fmt.Errorf("give back shared memory: %w", err)
	}
	return nil
}

// descriptor returns the path of one of the process's.
func (p *process) descriptor(fd uint64) string {
	return p.proc + "/fd/" + strconv.FormatUint(fd, 10)
}
