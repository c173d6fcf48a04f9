package pclntab

import (
	"bytes"
	"sync"
)

// Limits against a table whose names are all different, and all as long as they can be. Real ones of functions have 60 bytes, the longest of
// the standard library 200; a program of 200 MB has 25 MB of them, of which few are ever asked for.
const (
	maxName   = 4 << 10 // of a function or a file, in bytes; a longer one is cut
	maxTexts  = 16 << 20
	textExtra = 64 // what a text takes beside its bytes
)

// texts makes strings of a table's names, each once, and no more than maxTexts bytes of them: those who keep names keep these. When that is
// used up, further names are empty. It is safe for concurrent use.
type texts struct {
	mu    sync.Mutex
	known map[*byte]string
	size  int
}

// at returns the text that begins at an offset and ends at a zero.
func (t *texts) at(b []byte, offset uint32) string {
	if uint64(offset) >= uint64(len(b)) {
		return ""
	}
	b = b[offset:]
	t.mu.Lock()
	defer t.mu.Unlock()
	if s, ok := t.known[&b[0]]; ok {
		return s
	}
	name := textIn(b)
	if t.size += len(name) + textExtra; t.size > maxTexts {
		t.size = maxTexts
		return ""
	}
	if t.known == nil {
		t.known = map[*byte]string{}
	}
	s := string(name)
	t.known[&b[0]] = s
	return s
}

// textIn returns the bytes up to the first zero.
func textIn(b []byte) []byte {
	b = b[:min(len(b), maxName)]
	if n := bytes.IndexByte(b, 0); n >= 0 {
		return b[:n]
	}
	return b
}
