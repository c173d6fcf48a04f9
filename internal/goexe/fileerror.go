package goexe

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
)

// FileError is an error that an executable file itself causes: it is the same at each attempt, unlike one about memory or files of which
// there are too few just now.
type FileError struct{ err error }

func (e FileError) Error() string { return e.err.Error() }

func (e FileError) Unwrap() error { return e.err }

// errFault is wrapped by the error about a page that could not be read.
var errFault = errors.New("the file changes while it is read")

// byFile makes a FileError of an error from the analysis of a file.
func byFile(err error) error {
	if err == nil || errors.Is(err, errFault) {
		return err
	}
	return FileError{err}
}

// Identify reads whether a file is a Go program, and returns the version of the toolchain that linked it. The error of another file is a
// FileError and wraps ErrNotGo.
func Identify(file io.ReaderAt) (goVersion string, err error) {
	kept := &keepsError{ReaderAt: file}
	if err = checkHeader(kept); err == nil {
		var info *buildinfo.BuildInfo
		if info, err = buildinfo.Read(kept); err == nil {
			return info.GoVersion, nil
		}
	}
	if kept.err != nil {
		return "", kept.err
	}
	return "", FileError{fmt.Errorf("%w: %w", ErrNotGo, err)}
}

// keepsError remembers that a file could not be read, which package buildinfo does not tell from what it reads.
type keepsError struct {
	io.ReaderAt
	err error
}

func (k *keepsError) ReadAt(b []byte, offset int64) (int, error) {
	n, err := k.ReaderAt.ReadAt(b, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		k.err = err
	}
	return n, err
}
