package snapshot

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/target"
	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

// start runs a program of testdata that parks goroutines: "parked" n of each of ten kinds, "busy" n.
func start(t testing.TB, name string, o testbuild.Options, n string) (p *testbuild.Running, b *goexe.Binary, bias uint64) {
	t.Helper()
	testbuild.RequireRoot(t)
	p = testbuild.Start(t, testbuild.Program(t, name, o), n)
	process, err := target.Read(p.PID())
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
				got, err := Read(p.PID(), b, bias)
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
				}
				if seen != len(want) {
					t.Errorf("%d of %d goroutines are in the snapshot", seen, len(want))
				}
			})
		}
	}
}

// BenchmarkRead reads 100 000 goroutines.
func BenchmarkRead(b *testing.B) {
	p, exe, bias := start(b, "parked", testbuild.Options{}, "10000")
	p.Profile()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(p.PID(), exe, bias); err != nil {
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
			_, err := Read(p.PID(), exe, bias)
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
