package pclntab

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// TestTextsAreBounded asks for many long names, all different.
func TestTextsAreBounded(t *testing.T) {
	var names []byte
	var offsets []uint32
	const length, count = 1000, 2 * maxTexts / 1000
	for i := range count {
		offsets = append(offsets, uint32(len(names)))
		names = append(names, fmt.Sprintf("%0*d\x00", length, i)...)
	}
	var known texts
	held := 0
	for _, offset := range offsets {
		held += len(known.at(names, offset))
	}
	if held > maxTexts || held < maxTexts/2 {
		t.Errorf("%d bytes of names are held, want some %d", held, maxTexts)
	}
	if got := known.at(names, offsets[5]); got != fmt.Sprintf("%0*d", length, 5) {
		t.Errorf("a name that was told is %q the second time", got)
	}
	if got := known.at(names, offsets[count-1]); got != "" {
		t.Errorf("a name is told though there is no room for it: %q", got)
	}
}

// TestOverlappingTexts asks for all ends of the same long text.
func TestOverlappingTexts(t *testing.T) {
	names := append(bytes.Repeat([]byte("x"), 1<<16), 0)
	var known texts
	held := 0
	for offset := range len(names) {
		s := known.at(names, uint32(offset))
		held += len(s)
		if len(s) > maxName {
			t.Fatalf("a name has %d bytes", len(s))
		}
	}
	if held > maxTexts {
		t.Errorf("%d bytes of names are held", held)
	}
}

func TestText(t *testing.T) {
	long := strings.Repeat("y", maxName+1)
	names := append([]byte("main.main\x00"+long+"\x00main."), "end"...)
	for offset, want := range map[uint32]string{0: "main.main", 5: "main", 9: "", 10: long[:maxName], 10 + maxName + 2: "main.end", 1 << 20: ""} {
		var known texts
		if got := known.at(names, offset); got != want {
			t.Errorf("at %d is %.20q (%d bytes), want %.20q", offset, got, len(got), want)
		}
	}
}

// TestSteps looks up what stands behind more steps than are left.
func TestSteps(t *testing.T) {
	sequence := []byte{0}
	for range 1000 {
		sequence = append(sequence, 2, 1) // one more, for one instruction more
	}
	table := &Table{format: &formats[2], pcs: append(sequence, 0), quantum: 1}
	steps := 1001
	if v, ok := table.valueAt(1, 0x1000, 0x1000+500, &steps); !ok || v != 500 || steps != 500 {
		t.Errorf("the value is %d, %v, and %d steps are left", v, ok, steps)
	}
	if _, ok := table.valueAt(1, 0x1000, 0x1000+500, &steps); ok {
		t.Error("it is found in fewer steps than it takes")
	}
}
