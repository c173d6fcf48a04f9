package pclntab

import (
	"debug/elf"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// FuzzTable reads tables that lie. Its seeds are those of real binaries, of all formats.
func FuzzTable(f *testing.F) {
	for _, version := range []string{"go1.17.13", "go1.18.10", testbuild.Newest} {
		exe, err := elf.Open(testbuild.Program(f, "hello", testbuild.Options{Version: version}))
		if err != nil {
			f.Fatal(err)
		}
		defer exe.Close()
		data, err := exe.Section(".gopclntab").Data()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, data)
		f.Add(data[:len(data)/2], data[:100])
		f.Add(data[:100], []byte{})
	}
	f.Fuzz(func(_ *testing.T, data, gofunc []byte) {
		table, err := New(data, Place{Text: 0x400000, GoFunc: 1, Memory: func(uint64) []byte { return gofunc }})
		if err != nil {
			return
		}
		_, _ = table.FindInlined(func(name []byte) bool { return len(name) == 1 })
		const some = 1000
		for i := range min(table.Len(), some) {
			f, ok := table.Func(i)
			if !ok {
				continue
			}
			f.Name()
			f.Wrapped()
			table.Frames(f.Entry)
			table.Frames((f.Entry + f.End) / 2)
		}
	})
}
