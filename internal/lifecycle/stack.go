package lifecycle

import "encoding/binary"

// maxStacks bounds how many stacks of a process are shared; a program has few places at which it blocks.
const maxStacks = 1 << 14

// stacks makes equal stacks one.
type stacks struct {
	known map[string]*Stack
	key   []byte
}

// intern returns the Stack of some return addresses, which it copies; nil for none.
func (s *stacks) intern(pcs []uint64) *Stack {
	if len(pcs) == 0 {
		return nil
	}
	s.key = s.key[:0]
	for _, pc := range pcs {
		s.key = binary.NativeEndian.AppendUint64(s.key, pc)
	}
	if known, ok := s.known[string(s.key)]; ok {
		return known
	}
	if s.known == nil || len(s.known) >= maxStacks {
		s.known = map[string]*Stack{}
	}
	stack := &Stack{PCs: append([]uint64(nil), pcs...)}
	s.known[string(s.key)] = stack
	return stack
}
