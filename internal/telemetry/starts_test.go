package telemetry

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
)

func TestStarts(t *testing.T) {
	type lives = map[string]lifecycle.Lives
	var s starts
	for _, step := range []struct {
		name  string
		now   lives
		total lifecycle.Lives
		want  lives
	}{
		{
			"the top",
			lives{"a": {Created: 5, Exited: 1}},
			lifecycle.Lives{Created: 6, Exited: 2}, // one that there was no room for
			lives{"a": {Created: 5, Exited: 1}, other: {Created: 1, Exited: 1}},
		},
		{
			"a place is free: what was counted before stays with the others",
			lives{"a": {Created: 6, Exited: 1}, "b": {Created: 1}, "c": {Created: 9}},
			lifecycle.Lives{Created: 17, Exited: 2},
			lives{"a": {Created: 6, Exited: 1}, "c": {}, other: {Created: 11, Exited: 1}},
		},
		{
			"who is in stays in",
			lives{"a": {Created: 6, Exited: 1}, "b": {Created: 100}, "c": {Created: 12, Exited: 1}},
			lifecycle.Lives{Created: 119, Exited: 3},
			lives{"a": {Created: 6, Exited: 1}, "c": {Created: 3, Exited: 1}, other: {Created: 110, Exited: 1}},
		},
	} {
		if diff := cmp.Diff(step.want, s.divide(step.now, step.total, 2)); diff != "" {
			t.Errorf("%s: %s", step.name, diff)
		}
	}
}
