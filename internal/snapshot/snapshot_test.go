//go:build linux

package snapshot

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// start runs a program of testdata that parks goroutines: "parked" n of each of ten kinds, "busy" n.
func start(t testing.TB, name string, o testbuild.Options, n string) (p *testbuild.Running, b *goexe.Binary, bias uint64) {
	t.Helper()
	testbuild.RequireRoot(t)
	p = testbuild.Start(t, testbuild.Program(t, name, o), n)
	process, err := processes.Read(p.PID())
	if err != nil {
		t.Fatal(err)
	}
	if b, err = goexe.Open(process.ExecutablePath()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	if bias, err = process.Bias(b.Base); err != nil {
		t.Fatal(err)
	}
	return p, b, bias
}

// TestAgreesWithProfile compares a snapshot, goroutine by goroutine, with the profile that the program wrote of itself.
func TestAgreesWithProfile(t *testing.T) {
	for _, version := range testbuild.Versions {
		for name, flags := range map[string][]string{"default": nil, "stripped": {"-ldflags=-s -w"}, "PIE, stripped": {"-buildmode=pie", "-ldflags=-s -w"}} {
			t.Run(version+"/"+name, func(t *testing.T) {
				p, b, bias := start(t, "parked", testbuild.Options{Version: version, Flags: flags}, "1000")
				want := p.Profile()
				if len(want) < 10_000 {
					t.Fatalf("the profile has only %d goroutines", len(want))
				}
				got, err := Source{PID: p.PID(), Binary: b, Bias: bias, Stacks: true}.Read(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				system := map[uint64]bool{}
				for _, pc := range b.SystemStarts {
					system[pc+bias] = true
				}
				seen := 0
				for _, g := range got {
					if system[g.StartPC] {
						continue
					}
					w, ok := want[g.GoID]
					if !ok {
						t.Errorf("goroutine %d is not in the profile", g.GoID)
						continue
					}
					seen++
					if g.GoID == 1 { // it was writing the profile, and now reads
						continue
					}
					if g.State != lifecycle.Waiting || b.WaitReasons[g.WaitReason] != w.State {
						t.Errorf("goroutine %d is %v (%s), want waiting (%s)", g.GoID, g.State, b.WaitReasons[g.WaitReason], w.State)
					}
					if frames := b.Frames(g.CreationPC - bias - 1); len(frames) == 0 || frames[0].Function != w.Creator {
						t.Errorf("goroutine %d was created by %v, want %s", g.GoID, frames, w.Creator)
					}
					stackIsWhole(t, b, bias, g)
				}
				if seen != len(want) {
					t.Errorf("%d of %d goroutines are in the snapshot", seen, len(want))
				}
			})
		}
	}
}

// stackIsWhole checks that a stack leads from the runtime to the function that the goroutine was started for, and what is below that.
func stackIsWhole(t *testing.T, b *goexe.Binary, bias uint64, g Goroutine) {
	t.Helper()
	var functions []string
	for _, pc := range g.Stack {
		for _, f := range b.Frames(pc - bias - 1) {
			functions = append(functions, f.Function)
		}
	}
	start := b.StartFunction(g.StartPC - bias).Function
	if n := len(functions); n < 3 || functions[0] != "runtime.gopark" || functions[n-1] != "runtime.goexit" || !slices.Contains(functions, start) {
		t.Errorf("the stack of goroutine %d, which was started for %s, is %v", g.GoID, start, functions)
	}
}

// TestFirstThreadExited reads a process that goes on without its first thread.
func TestFirstThreadExited(t *testing.T) {
	p, b, bias := start(t, "survivor", testbuild.Options{}, "")
	p.Line()
	p.GoOn()
	p.Line() // it has survived
	all, err := Source{PID: p.PID(), Binary: b, Bias: bias}.Read(t.Context())
	if err != nil || !slices.ContainsFunc(all, func(g Goroutine) bool { return g.GoID == 1 && g.State == lifecycle.Syscall }) {
		t.Errorf("it has %+v, %v", all, err)
	}
}

// BenchmarkRead reads 100 000 goroutines.
func BenchmarkRead(b *testing.B) {
	p, exe, bias := start(b, "parked", testbuild.Options{}, "10000")
	source := Source{PID: p.PID(), Binary: exe, Bias: bias}
	p.Profile()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := source.Read(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTarget measures how much less a program with 100 000 goroutines gets done in a second in which it is read once. The seconds with
// and without take turns, and the medians are compared.
func BenchmarkTarget(b *testing.B) {
	p, exe, bias := start(b, "busy", testbuild.Options{}, "100000")
	second := func() float64 {
		p.GoOn()
		done, err := strconv.ParseFloat(p.Line(), 64)
		if err != nil {
			b.Fatal(err)
		}
		return done
	}
	second() // starts all goroutines
	var without, with []float64
	for b.Loop() {
		without = append(without, second())
		read := make(chan error)
		go func() {
			time.Sleep(500 * time.Millisecond)
			_, err := Source{PID: p.PID(), Binary: exe, Bias: bias}.Read(b.Context())
			read <- err
		}()
		with = append(with, second())
		if err := <-read; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(median(with)/median(without), "of-undisturbed")
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}

func TestGather(t *testing.T) {
	const first, size = 0x90, 0x100
	for name, c := range map[string]struct {
		addresses []uint64
		pieces    int
		n, bytes  int
	}{
		"none":              {nil, 0, 0, 0},
		"one":               {[]uint64{0x10000}, 1, 1, size},
		"neighbours":        {[]uint64{0x10000, 0x10200, 0x10400}, 1, 3, 0x400 + size},
		"a page apart":      {[]uint64{0x10000, 0x10000 + size + pageSize}, 2, 2, 2 * size},
		"the same, a lie":   {[]uint64{0x10000, 0x10000, 0x10008}, 1, 3, size + 8},
		"more than a call":  {every(2*perCall, 2*pageSize), perCall, perCall, perCall * size},
		"more than a block": {every(2*bytesPerCall/0x200, 0x200), 1, bytesPerCall / 0x200, bytesPerCall - 0x200 + size},
	} {
		t.Run(name, func(t *testing.T) {
			pieces, n, bytes := gather(c.addresses, first, size)
			if len(pieces) != c.pieces || n != c.n || bytes != c.bytes {
				t.Errorf("%d pieces with %d gs in %d bytes, want %d with %d in %d", len(pieces), n, bytes, c.pieces, c.n, c.bytes)
			}
			sum := 0
			for _, p := range pieces {
				sum += p.Len
			}
			if sum != bytes {
				t.Errorf("the pieces have %d bytes, not %d", sum, bytes)
			}
		})
	}
}

// every returns n addresses at a distance.
func every(n int, distance uint64) (addresses []uint64) {
	for i := range n {
		addresses = append(addresses, 0x10000+uint64(i)*distance)
	}
	return addresses
}

// TestChannels looks at the channels for which goroutines wait.
func TestChannels(t *testing.T) {
	for _, version := range testbuild.Versions {
		t.Run(version, func(t *testing.T) {
			p, b, bias := start(t, "channels", testbuild.Options{Version: version}, "")
			p.Line()
			s := Source{PID: p.PID(), Binary: b, Bias: bias}
			all, err := s.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got := map[string][]bool{} // whether each channel has a buffer
			addresses := map[string][]uint64{}
			for _, g := range all {
				if name := b.StartFunction(g.StartPC - bias).Function; strings.HasPrefix(name, "main.") {
					for _, c := range s.Channels(t.Context(), g.G, g.GoID) {
						got[name] = append(got[name], c.Size != 0)
						addresses[name] = append(addresses[name], c.Address)
					}
					slices.Sort(addresses[name])
					if channels := s.Channels(t.Context(), g.G, g.GoID+1000); channels != nil {
						t.Errorf("another goroutine waits for %v", channels)
					}
				}
			}
			// Those of a select are in the order of their addresses.
			mixed := []bool{false, true}
			if a := addresses["main.receives"]; len(a) == 1 && a[0] > addresses["main.receivesBuffered"][0] {
				slices.Reverse(mixed)
			}
			want := map[string][]bool{"main.receives": {false}, "main.receivesBuffered": {true}, "main.selects": {false, false}, "main.selectsBuffered": mixed}
			if !maps.EqualFunc(got, want, slices.Equal) {
				t.Errorf("the channels with buffers are %v, want %v", got, want)
			}
			if !slices.Contains(addresses["main.selects"], addresses["main.receives"][0]) {
				t.Error("the channel of one is not among those of another that waits for it, too")
			}
		})
	}
}
