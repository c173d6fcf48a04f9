package combined

import (
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

// burst is how many events of one engine are read in a row while the other may have some too. It takes a system call to ask the kernel's.
const burst = 256

// past is a time until which no Next waits.
var past = time.Unix(1, 0)

// turn takes events of two engines by turns.
type turn struct {
	engines [2]engine.Engine
	of      int // the engine whose turn it is
	left    int // how many events it may still have in a row
}

// next reads an event of the engine whose turn it is, or of the other if that has none. It does not wait.
func (t *turn) next(to *lifecycle.Event) (bool, error) {
	for range t.engines {
		if t.left == 0 {
			t.of, t.left = 1-t.of, burst
		}
		if is, err := t.engines[t.of].Next(to, past); is || err != nil {
			t.left--
			return is, err
		}
		t.left = 0
	}
	return false, nil
}
