package goexe

import (
	"bytes"
	"compress/zlib"
	"debug/dwarf"
	"encoding/binary"
	"errors"
	"go/version"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// asMinor returns a copy of a file in which the version strings claim another minor release.
func asMinor(file []byte, is, claimed string) []byte {
	return bytes.ReplaceAll(file, []byte(version.Lang(is)+"."), []byte(version.Lang(claimed)+"."))
}

func analyseBytes(file []byte) (*Binary, error) {
	im, err := newImage(file)
	if err != nil {
		return nil, err
	}
	return analyse(im)
}

// TestFalseVersion lets programs of each release claim to be of each other one. What is true of both may be believed.
func TestFalseVersion(t *testing.T) {
	alike := [][]string{{"go1.18", "go1.19"}, {"go1.26", "go1.27"}}
	for name, flags := range map[string][]string{"with debug information": nil, "stripped": {"-ldflags=-s -w"}} {
		for _, is := range testbuild.Versions {
			file, err := os.ReadFile(testbuild.Program(t, "hello", testbuild.Options{Version: is, Flags: flags}))
			if err != nil {
				t.Fatal(err)
			}
			for _, claimed := range testbuild.Versions {
				_, err := analyseBytes(asMinor(file, is, claimed))
				same := is == claimed || slices.ContainsFunc(alike, func(a []string) bool {
					return slices.Contains(a, version.Lang(is)) && slices.Contains(a, version.Lang(claimed))
				})
				switch {
				case is == claimed && err != nil:
					t.Errorf("%s, %s: %v", is, name, err)
				case !same && !errors.Is(err, errContradiction):
					t.Errorf("%s, %s, that claims to be %s: %v", is, name, claimed, err)
				}
			}
		}
	}
}

// TestDebugInfoAgrees compares the table with the debug information of what is built in several ways.
func TestDebugInfoAgrees(t *testing.T) {
	for _, release := range testbuild.Versions {
		for name, o := range map[string]testbuild.Options{
			"default": {}, "pie": {Flags: []string{"-buildmode=pie"}}, "race": {Flags: []string{"-race"}, Cgo: true},
			"unoptimized":  {Flags: []string{"-gcflags=all=-N -l"}},
			"uncompressed": {Flags: []string{"-ldflags=-compressdwarf=false"}},
			"arm64":        {Env: onARM}, "arm64, pie": {Env: onARM, Flags: []string{"-buildmode=pie"}},
			"pie, cgo": {Flags: []string{"-buildmode=pie", "-ldflags=-linkmode=external"}, Cgo: true},
		} {
			if slices.Contains(o.Env, onARM[0]) && !supports(release, "arm64") {
				continue
			}
			t.Run(release+"/"+name, func(t *testing.T) {
				o.Version = release
				b := analysed(t, testbuild.Program(t, "hello", o))
				measured, err := measuredLayout(release, b.image)
				if err != nil {
					t.Fatal(err)
				}
				if difference := b.Layout.difference(measured); difference != "" || b.LayoutFromDWARF {
					t.Errorf("the debug information has %s", difference)
				}
				if want := []string{"debug information", "form of the function table", "size of runtime.g", "wait reasons"}; !slices.Equal(b.ConfirmedBy, want) {
					t.Errorf("the layout is confirmed by %q, want %q", b.ConfirmedBy, want)
				}
				functions, _, err := b.runtimeFunctions()
				if err != nil {
					t.Fatal(err)
				}
				if size := b.sizeOfG(instructionSets[b.GOARCH], functions); size != uint64(b.Layout.G.Size) {
					t.Errorf("the code has a runtime.g of %#x bytes, want %#x", size, b.Layout.G.Size)
				}
			})
		}
	}
}

// renamed returns a copy of a file whose build information names another version, however long, and nothing else.
func renamed(t *testing.T, exe, version string) []byte {
	t.Helper()
	file, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	im, err := newImage(file)
	if err != nil {
		t.Fatal(err)
	}
	const header = 32 // the version follows, behind its length (debug/buildinfo)
	s := im.file.Section(".go.buildinfo")
	copy(file[s.Offset+header:], append(append([]byte{byte(len(version))}, version...), 0))
	return file
}

// TestVersionsBetweenReleases reads programs of toolchains that were built from a commit, or changed by a vendor.
func TestVersionsBetweenReleases(t *testing.T) {
	exe := testbuild.Program(t, "hello", testbuild.Options{Version: "go1.26.8"})
	stripped := testbuild.Program(t, "hello", testbuild.Options{Version: "go1.26.8", Flags: []string{"-ldflags=-s -w"}})
	want := analysed(t, exe)
	for claimed, c := range map[string]struct {
		fromDWARF  bool
		ifStripped string // in the error, "" if it is followed
		refused    bool
	}{
		"go1.26.8-microsoft":        {},
		"go1.26.8-X:nogreenteagc":   {},
		"go1.26.8 X:nogreenteagc":   {},
		"devel go1.26-0f93ed7d3c":   {ifStripped: "is no release"},
		"go1.26-devel_0f93ed7d3c":   {ifStripped: "is no release"},
		"devel go1.29-0f93ed7d3c":   {fromDWARF: true, ifStripped: "unknown Go version go1.29"},
		"go1.29-devel_0f93ed7d3c":   {fromDWARF: true, ifStripped: "unknown Go version go1.29"},
		"devel +0f93ed7d3c Mon Nov": {ifStripped: "not a release of Go", refused: true},
	} {
		b, err := analyseBytes(renamed(t, exe, claimed))
		switch {
		case c.refused:
			if err == nil {
				t.Errorf("%s is followed, though nothing tells what its runtime does", claimed)
			}
		case err != nil:
			t.Errorf("%s: %v", claimed, err)
		case b.LayoutFromDWARF != c.fromDWARF || b.Layout.G != want.Layout.G || !slices.Equal(b.Sites, want.Sites):
			t.Errorf("%s is read as %+v", claimed, b)
		}
		_, err = analyseBytes(renamed(t, stripped, claimed))
		if c.ifStripped == "" && err != nil || c.ifStripped != "" && (err == nil || !strings.Contains(err.Error(), c.ifStripped)) {
			t.Errorf("%s, stripped: %v, want %q", claimed, err, c.ifStripped)
		}
	}
}

func TestWaitsAs(t *testing.T) {
	reasons := func(release string) []string {
		l, err := layoutFor(release)
		if err != nil {
			t.Fatal(err)
		}
		return l.WaitReasons
	}
	longer := append(slices.Clone(reasons("go1.27.4")), "made up")
	for _, c := range []struct {
		name, release string
		reasons       []string
		want          bool
	}{
		{"its own", "go1.23.12", reasons("go1.23.12"), true},
		{"those of another patch release", "go1.23.1", reasons("go1.23.12"), true},
		{"one more", "go1.27.5", longer, true},
		{"those of the release before", "go1.20.14", reasons("go1.19.13"), false},
		{"those of the release behind, which begin alike", "go1.19.13", reasons("go1.20.14"), false},
		{"none", "go1.27.4", nil, false},
	} {
		if got := waitsAs(c.release, c.reasons); got != c.want {
			t.Errorf("%s with %s: %v", c.release, c.name, got)
		}
	}
}

// TestDecompressionBomb reads debug information that is far larger than what it is compressed to, or claims to be.
func TestDecompressionBomb(t *testing.T) {
	var bomb bytes.Buffer
	w := zlib.NewWriter(&bomb)
	const size = 64 << 20
	if _, err := w.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := decompress(bomb.Bytes(), size)
	if err != nil || len(out) != maxDebugInfo || cap(out) > 2*maxDebugInfo {
		t.Errorf("%d bytes of %d, of which are to be read %d: %v", len(out), size, maxDebugInfo, err)
	}
	if _, err := decompress(bomb.Bytes(), 1<<62); err == nil {
		t.Error("a size that nothing can have is believed")
	}
}

// TestShortened makes a unit of debug information that is read in part end where the part does.
func TestShortened(t *testing.T) {
	whole := binary.LittleEndian.AppendUint32(nil, 4)
	whole = append(whole, 1, 2, 3, 4)
	cut := append(slices.Clone(whole), 100, 0, 0, 0, 5, 6)
	got := shortened(cut)
	if want := append(slices.Clone(whole), 2, 0, 0, 0, 5, 6); !bytes.Equal(got, want) {
		t.Errorf("it is %v, want %v", got, want)
	}
	if !bytes.Equal(shortened(whole), whole) || len(shortened(nil)) != 0 {
		t.Error("what was whole is not any more")
	}
}

func TestStatusNames(t *testing.T) {
	found := map[string]uint8{}
	for _, name := range []string{"runtime._G", "runtime._Gidle", "runtime._Gscanrunning", "runtime._GoidCacheBatch", "main._Gidle", ""} {
		e := &dwarf.Entry{Field: []dwarf.Field{{Attr: dwarf.AttrConstValue, Val: int64(1)}}}
		addStatus(found, name, e)
	}
	if len(found) != 1 || found["Gidle"] != 1 {
		t.Errorf("statuses are %v", found)
	}
}
