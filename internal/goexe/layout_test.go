package goexe

import (
	"maps"
	"strings"
	"testing"
)

// TestNewLayout measures a release in which one thing is not where it was in all before.
func TestNewLayout(t *testing.T) {
	g := Offsets{
		"stack.lo": 0, "stack.hi": 8, "m": 48, "sched.sp": 56, "sched.pc": 64, "sched.bp": 96, "atomicstatus": 144, "goid": 152,
		"waitsince": 168, "waitreason": 176, "gopc": 288, "startpc": 304, "labels": 352,
	}
	m := Offsets{"procid": 64, "curg": 184}
	layout := func(g, m Offsets) (*Layout, error) {
		return NewLayout("go1.99.0", 456, g, m, Offsets{"text": 176}, map[string]uint8{}, nil)
	}
	l, err := layout(g, m)
	if err != nil || l.M != (MLayout{Curg: 184, Procid: 64}) || l.G.Size != 456 {
		t.Fatalf("the layout is %+v: %v", l, err)
	}
	for field := range g {
		without := maps.Clone(g)
		delete(without, field)
		if _, err := layout(without, m); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("without g.%s: %v", field, err)
		}
	}
	for field := range m {
		without := maps.Clone(m)
		delete(without, field)
		if _, err := layout(g, without); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("without m.%s: %v", field, err)
		}
	}
	for field, want := range map[string]string{"stack.lo": "bounds of the stack", "stack.hi": "bounds of the stack", "startpc": "one after the other"} {
		moved := maps.Clone(g)
		moved[field] += 8
		if _, err := layout(moved, m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("with g.%s elsewhere: %v", field, err)
		}
	}
}
