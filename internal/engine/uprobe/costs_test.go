//go:build linux

package uprobe

import (
	"testing"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

// What a hit costs is known from the start, if only roughly: a program must not be slow until it is measured.
func TestHitsCostSomethingBeforeItIsMeasured(t *testing.T) {
	b := &goexe.Binary{Sites: []goexe.Site{{Kind: goexe.Call, Cost: goexe.Emulated}}}
	var c costs
	if before := c.ofHit(b, 2); before < time.Microsecond {
		t.Errorf("a hit costs %v before it is measured", before)
	}
	c.traps, c.run = Traps{goexe.Emulated: 3 * time.Microsecond}, 4*time.Microsecond
	if after := c.ofHit(b, 2); after != 10*time.Microsecond {
		t.Errorf("a hit costs %v, want what is measured", after)
	}
}
