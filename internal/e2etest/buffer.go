//go:build linux

package e2etest

import (
	"bytes"
	"strings"
	"sync"
)

// Buffer gathers what a process writes while others look at it. It is safe for concurrent use.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (o *Buffer) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

// String returns all that was written so far.
func (o *Buffer) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Has tells whether a text is among that.
func (o *Buffer) Has(text string) bool { return strings.Contains(o.String(), text) }
