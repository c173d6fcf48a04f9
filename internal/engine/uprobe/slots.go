//go:build linux

package uprobe

import (
	"fmt"
	"slices"
	"sync"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
)

// slots hands out indexes below a limit. One that was in use is free again only after programs of the kernel that may still hold it have
// ended: until then it is retired. It is safe for concurrent use.
type slots struct {
	what string // is given out, in plural

	mu      sync.Mutex
	used    []bool // handed out or retired
	retired []uint32
}

func newSlots(what string, limit int) *slots { return &slots{what: what, used: make([]bool, limit)} }

// take hands out the lowest free one. Its error wraps engine.ErrTooMany.
func (s *slots) take() (uint32, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	free := slices.Index(s.used, false)
	if free < 0 {
		return 0, fmt.Errorf("%w: more than %d %s at once", engine.ErrTooMany, len(s.used), s.what)
	}
	s.used[free] = true
	return uint32(free), nil
}

// inUse returns those that are handed out, and those that are retired.
func (s *slots) inUse() (all []uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for slot, used := range s.used {
		if used {
			all = append(all, uint32(slot))
		}
	}
	return all
}

// putBack frees one that no program has seen.
func (s *slots) putBack(slot uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used[slot] = false
}

// retire says that no program that begins from now on gets to see it.
func (s *slots) retire(slot uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retired = append(s.retired, slot)
}

// reclaim frees those that are retired: wait returns when the programs that run now have ended, and clear forgets what is known in them.
// They stay retired if one of the two fails.
func (s *slots) reclaim(wait func() error, clear func([]uint32) error) error {
	s.mu.Lock()
	retired := s.retired
	s.retired = nil
	s.mu.Unlock()
	if len(retired) == 0 {
		return nil
	}
	err := wait()
	if err == nil {
		err = clear(retired)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.retired = append(s.retired, retired...)
		return err
	}
	for _, slot := range retired {
		s.used[slot] = false
	}
	return nil
}
