//go:build !linux || !amd64

package code

import (
	"errors"
	"time"
)

// Measure returns how long this processor takes to record a change with a stack of some frames or none.
func Measure(int) (time.Duration, error) { return 0, errors.ErrUnsupported }
