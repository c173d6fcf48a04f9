package pclntab

import (
	"bytes"
	"debug/elf"
	"errors"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestFindInlinedUnknown searches tables that do not tell what is inlined: nothing is not the answer.
func TestFindInlinedUnknown(t *testing.T) {
	exe, err := elf.Open(testbuild.Program(t, "hello", testbuild.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	defer exe.Close()
	data, err := exe.Section(".gopclntab").Data()
	if err != nil {
		t.Fatal(err)
	}
	for name, at := range map[string]Place{
		"nowhere": {}, "cut short": {GoFunc: 1, Memory: func(uint64) []byte { return make([]byte, 10) }},
		"with names that are not there": {GoFunc: 1, Memory: func(uint64) []byte { return bytes.Repeat([]byte{0xff}, 1<<20) }},
	} {
		table, err := New(data, at)
		if err != nil {
			t.Fatal(err)
		}
		if into, err := table.FindInlined(func([]byte) bool { return false }); !errors.Is(err, ErrFormat) {
			t.Errorf("where calls are %s, one is in %q, %v", name, into, err)
		}
	}
}

// TestFindInlinedSteps searches in fewer steps than it takes.
func TestFindInlinedSteps(t *testing.T) {
	table := &Table{format: &formats[len(formats)-1], pcs: []byte{0, 2, 1, 2, 1, 0}, quantum: 1, names: []byte("f\x00")}
	table.gofunc = make([]byte, 100)
	f := Func{table: table, Entry: 1, record: make([]byte, 100)}
	f.record[recordPCData] = 3
	f.record[table.recordSize-1] = funcdataInline + 1
	f.record[table.recordSize+4*pcdataInlineIndex] = 1
	for steps, want := range map[int]bool{4: true, 2: false, 0: false} {
		if _, err := f.inlines(func([]byte) bool { return false }, &steps); (err == nil) != want {
			t.Errorf("the error is %v", err)
		}
	}
}
