package goexe

import (
	"slices"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// TestStrippedTwin compares what is found in a position-independent executable that a C linker linked, in which the function table has no
// section of its own in older releases and all addresses are left to the dynamic linker, with and without symbols.
func TestStrippedTwin(t *testing.T) {
	for _, release := range []string{testbuild.Versions[0], "go1.18.10", "go1.25.14", testbuild.Newest} {
		t.Run(release, func(t *testing.T) {
			o := testbuild.Options{Version: release, Flags: []string{"-buildmode=pie", "-ldflags=-linkmode=external"}, Cgo: true}
			whole := analysed(t, testbuild.Program(t, "lifecycle", o))
			o.Flags = []string{"-buildmode=pie", "-ldflags=-linkmode=external -s -w"}
			stripped := analysed(t, testbuild.Program(t, "lifecycle", o))
			sites := func(b *Binary) (names []string) {
				for _, s := range b.Sites {
					names = append(names, s.Function)
				}
				return names
			}
			if !slices.Equal(sites(whole), sites(stripped)) || len(whole.SystemStarts) != len(stripped.SystemStarts) {
				t.Errorf("sites are in %v, with symbols in %v", sites(stripped), sites(whole))
			}
			if stripped.AllgLen == 0 || stripped.AllgPtr == 0 || !slices.Equal(stripped.WaitReasons, whole.WaitReasons) {
				t.Errorf("the list of goroutines is at %#x and %#x, the wait reasons are %q", stripped.AllgLen, stripped.AllgPtr, stripped.WaitReasons)
			}
			if whole.symbols.Len() != stripped.symbols.Len() {
				t.Fatalf("%d functions, with symbols %d", stripped.symbols.Len(), whole.symbols.Len())
			}
			for i := range whole.symbols.Len() {
				want, _ := whole.symbols.Func(i)
				got, _ := stripped.symbols.Func(i)
				if is, must := stripped.StartFunction(got.Entry), whole.StartFunction(want.Entry); is != must {
					t.Fatalf("function %d is %+v, with symbols %+v", i, is, must)
				}
				if is, must := stripped.Frames(got.Entry+8), whole.Frames(want.Entry+8); !slices.Equal(is, must) {
					t.Fatalf("the frames of function %d are %+v, with symbols %+v", i, is, must)
				}
			}
		})
	}
}
