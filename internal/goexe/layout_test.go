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
		"waitsince": 168, "waitreason": 176, "gopc": 288, "startpc": 304, "labels": 352, "waiting": 320, "param": 136,
	}
	m := Offsets{"procid": 64, "curg": 184}
	hchan := Offsets{"dataqsiz": 8, "sendx": 40, "recvx": 48, "lock": 88}
	sudog := Offsets{"elem": 24, "acquiretime": 32, "waitlink": 64, "c": 80}
	layout := func(g, m Offsets) (*Layout, error) {
		return NewLayout("go1.99.0", 456, g, m, Offsets{"text": 176}, sudog, hchan, map[string]uint8{}, nil)
	}
	l, err := layout(g, m)
	if err != nil || l.M != (MLayout{Curg: 184, Procid: 64}) || l.G.Size != 456 || l.Sudog != (SudogLayout{C: 80, WaitLink: 64}) ||
		l.Hchan != (HchanLayout{DataQSiz: 8, SendX: 40, RecvX: 48, Lock: 88}) {
		t.Fatalf("the layout is %+v: %v", l, err)
	}
	wide := Offsets{"elem": 24, "acquiretime": 40, "waitlink": 72, "c": 88}
	if l := sudogLayout(wide); l != (SudogLayout{C: 96, WaitLink: 72}) {
		t.Errorf("the layout of a sudog with pointers of two words is %+v", l)
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
