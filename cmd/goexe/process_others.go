//go:build !linux

package main

import (
	"errors"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

func inspectProcess(int, *goexe.Binary) (*Process, error) {
	return nil, errors.New("processes can be looked at on Linux only")
}
