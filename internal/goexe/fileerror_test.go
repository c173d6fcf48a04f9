//go:build linux

package goexe

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestFileError tells errors of files from those that pass.
func TestFileError(t *testing.T) {
	truncated := func() []byte {
		content, err := os.ReadFile(testbuild.Program(t, "lifecycle", testbuild.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		return content[:len(content)/2]
	}
	for name, path := range map[string]string{
		"no ELF file": write(t, []byte("#!/bin/sh\n")), "no Go program": "/bin/sleep", "empty": write(t, nil), "truncated": write(t, truncated()),
	} {
		if _, err := Open(path); !isFileError(err) {
			t.Errorf("%s: %v is no error of the file", name, err)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); err == nil || isFileError(err) {
		t.Errorf("the error is %v", err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	exe := testbuild.Program(t, "lifecycle", testbuild.Options{})
	few := unix.Rlimit{Cur: 0, Max: limit.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	_, err := Open(exe)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, unix.EMFILE) || isFileError(err) {
		t.Errorf("with too many open files the error is %v", err)
	}
}

func TestIdentify(t *testing.T) {
	content, err := os.ReadFile(testbuild.Program(t, "lifecycle", testbuild.Options{Version: "go1.20.14"}))
	if err != nil {
		t.Fatal(err)
	}
	if v, err := Identify(bytes.NewReader(content)); v != "go1.20.14" || err != nil {
		t.Errorf("it is %q, %v", v, err)
	}
	if _, err := Identify(bytes.NewReader([]byte("#!/bin/sh\n"))); !errors.Is(err, ErrNotGo) || !isFileError(err) {
		t.Errorf("the error is %v", err)
	}
	if _, err := Identify(unreadable{}); !errors.Is(err, unix.EIO) || isFileError(err) {
		t.Errorf("the error is %v", err)
	}
}

func isFileError(err error) bool {
	var byFile FileError
	return errors.As(err, &byFile)
}

type unreadable struct{}

func (unreadable) ReadAt([]byte, int64) (int, error) { return 0, unix.EIO }
