//go:build linux

package telemetry

import "testing"

// TestStartTime sets the wall clock back and asks again.
func TestStartTime(t *testing.T) {
	var s startTime
	first := s.timestamp(100, Reading{offset: 1000})
	if again := s.timestamp(100, Reading{offset: 500}); again != first {
		t.Errorf("the start moved from %v to %v with the wall clock", first, again)
	}
	if next := s.timestamp(200, Reading{offset: 500}); next != 700 {
		t.Errorf("another start is told as %v", next)
	}
}
