//go:build linux

package inject

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReadMappings reads what the kernel shows.
func TestReadMappings(t *testing.T) {
	all, err := readMappings(strings.NewReader(`00400000-004a2000 r-xp 00000000 fd:01 1836152                            /srv/a b
7f2a9c000000-7f2a9c805000 rw-s 00001000 00:01 2075                       /memfd:goroutinereceiver (deleted)
7ffd1000-7ffd2000 r-xp 00000000 00:00 0 
`))
	require.NoError(t, err)
	require.Equal(t, mappings{
		{0x400000, 0x4a2000, 0, 1836152, "r-xp", "/srv/a b"},
		{0x7f2a9c000000, 0x7f2a9c805000, 0x1000, 2075, "rw-s", memoryPath},
		{0x7ffd1000, 0x7ffd2000, 0, 0, "r-xp", ""},
	}, all)
	_, _, err = all.image(0x400123)
	require.NoError(t, err)
	for _, address := range []uint64{0x3fffff, 0x4a2000, 0x7f2a9c000000, 0x7ffd1000} {
		_, _, err = all.image(address)
		require.Error(t, err)
	}
	for _, bad := range []string{"400000 r-xp", "400000-z r-xp 0 fd:01 1 /x"} {
		_, err := readMappings(strings.NewReader(bad))
		require.Error(t, err)
	}
}

// elf returns a file of some pages with one executable segment.
func elf(sections, segment, length uint64) []byte {
	b := make([]byte, 4*pageSize)
	copy(b, "\x7fELF\x02\x01")
	le := binary.LittleEndian
	le.PutUint64(b[32:], elfHeader)
	le.PutUint64(b[40:], sections)
	le.PutUint16(b[56:], 1)
	le.PutUint16(b[58:], 64)
	le.PutUint16(b[60:], 2)
	le.PutUint32(b[elfHeader:], typeLoad)
	le.PutUint32(b[elfHeader+4:], flagExecute)
	le.PutUint64(b[elfHeader+8:], segment)
	le.PutUint64(b[elfHeader+32:], length)
	return b
}

// TestGaps finds what nothing uses of executable pages.
func TestGaps(t *testing.T) {
	gaps := func(file []byte, offset, size uint64) []gap {
		all, err := gapsIn(bytes.NewReader(file), offset, size)
		require.NoError(t, err)
		return all
	}
	file := elf(elfHeader+programHeader, 0, pageSize+100)
	file[0xf00] = 1 // a note
	require.Equal(t, []gap{{elfHeader + programHeader + 128, 0xf00}, {pageSize + 100, 2 * pageSize}}, gaps(file, 0, 2*pageSize))
	file = elf(3*pageSize, 0, pageSize)
	require.Equal(t, []gap{{elfHeader + programHeader, pageSize}}, gaps(file, 0, pageSize))
	file = elf(3*pageSize, pageSize, 100)
	require.Equal(t, []gap{{pageSize + 100, 2 * pageSize}}, gaps(file, pageSize, pageSize))
	file[2*pageSize-1] = 1 // what is there belongs to another segment
	require.Empty(t, gaps(file, pageSize, pageSize))
	require.Empty(t, gaps(file, 2*pageSize, pageSize))

	lies := elf(0, 0, ^uint64(0))
	_, err := gapsIn(bytes.NewReader(lies), 0, pageSize)
	require.NoError(t, err)
	binary.LittleEndian.PutUint64(lies[32:], ^uint64(0))
	_, err = gapsIn(bytes.NewReader(lies), 0, pageSize)
	require.Error(t, err)
	_, err = gapsIn(bytes.NewReader([]byte("#!/bin/sh")), 0, pageSize)
	require.Error(t, err)
}
