package combined

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/enginefake"
	"github.com/otelgoroutine/goroutinereceiver/internal/lifecycle"
	"github.com/otelgoroutine/goroutinereceiver/internal/waitstats"
)

var errScripted = errors.New("scripted")

// both is an Engine of two fakes.
type both struct {
	*Engine
	kernel, user *enginefake.Engine
}

func newBoth(t testing.TB) both {
	b := both{kernel: enginefake.New(0), user: enginefake.New(FirstUserID - 1)}
	var err error
	b.Engine, err = New(b.kernel, func(ready func()) (engine.Engine, error) {
		b.user.Ready = ready
		return b.user, nil
	})
	require.NoError(t, err)
	return b
}

// follow follows a process by one of the two.
func (b both) follow(t testing.TB, pid int, trampolines bool) engine.Process {
	a, err := b.Attach(nil, "/program", engine.AttachOptions{Trampolines: trampolines})
	require.NoError(t, err)
	p, err := a.Follow(pid, 0, engine.Settings{})
	require.NoError(t, err)
	return p
}

// event tells of a goroutine.
func event(goid uint64) lifecycle.Event { return lifecycle.Event{Kind: lifecycle.Created, GoID: goid} }

// next reads an event that does not have to be waited for for long.
func (b both) next(t testing.TB) uint64 {
	var e lifecycle.Event
	is, err := b.Next(&e, time.Now().Add(time.Hour))
	require.NoError(t, err)
	require.True(t, is)
	return e.GoID
}

func TestAttachIsOfOneEngine(t *testing.T) {
	b := newBoth(t)
	byProbes, byTrampolines := b.follow(t, 1, false), b.follow(t, 2, true)
	require.Less(t, byProbes.ID(), FirstUserID)
	require.GreaterOrEqual(t, byTrampolines.ID(), FirstUserID)
	require.Equal(t, 1, b.kernel.Attached())
	require.Equal(t, 1, b.user.Attached())

	all, err := b.Distributions()
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Contains(t, all, byProbes.ID())
	require.Contains(t, all, byTrampolines.ID())

	for _, p := range []engine.Process{byProbes, byTrampolines} {
		_, err := p.Adopt(engine.Goroutine{G: uint64(p.ID())})
		require.NoError(t, err)
	}
	seen := map[engine.ID]uint64{}
	require.NoError(t, b.Goroutines(func(id engine.ID, g waitstats.Goroutine) { seen[id] = g.G }))
	require.Equal(t, map[engine.ID]uint64{byProbes.ID(): uint64(byProbes.ID()), byTrampolines.ID(): uint64(byTrampolines.ID())}, seen)
}

func TestNewcomersAreOfTheirEngine(t *testing.T) {
	b := newBoth(t)
	require.NoError(t, b.Reject(1, b.kernel.Arrive(1)))
	require.NoError(t, b.Release(2, b.user.Arrive(2)))
	require.Equal(t, [...]int{1, 0}, [...]int{b.kernel.Calls("Reject"), b.kernel.Calls("Release")})
	require.Equal(t, [...]int{0, 1}, [...]int{b.user.Calls("Reject"), b.user.Calls("Release")})
}

// TestErrors has each call of both fail in one of them.
func TestErrors(t *testing.T) {
	for name, call := range map[string]func(both) error{
		"Next":          func(b both) error { _, err := b.Next(&lifecycle.Event{}, time.Now()); return err },
		"Distributions": func(b both) error { _, err := b.Distributions(); return err },
		"Goroutines":    func(b both) error { return b.Goroutines(func(engine.ID, waitstats.Goroutine) {}) },
		"Close":         func(b both) error { return b.Close() },
	} {
		for _, of := range []string{"kernel", "user"} {
			t.Run(name+" of "+of, func(t *testing.T) {
				b := newBoth(t)
				map[string]*enginefake.Engine{"kernel": b.kernel, "user": b.user}[of].Script(name, enginefake.Step{Err: errScripted})
				require.ErrorIs(t, call(b), errScripted)
			})
		}
	}
}

func TestCloseOfBoth(t *testing.T) {
	b := newBoth(t)
	require.NoError(t, b.Close())
	require.True(t, b.kernel.Closed())
	require.True(t, b.user.Closed())
}

func TestNewFails(t *testing.T) {
	kernel := enginefake.New(0)
	_, err := New(kernel, func(func()) (engine.Engine, error) { return nil, errScripted })
	require.ErrorIs(t, err, errScripted)
	require.False(t, kernel.Closed(), "it may be used without the other")
}

// TestNextWaitsForBoth has an event come while Next waits, from each engine.
func TestNextWaitsForBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoth(t)
		for n, of := range []*enginefake.Engine{b.kernel, b.user, b.user, b.kernel} {
			go func() {
				time.Sleep(time.Second)
				of.Emit(event(uint64(n)))
			}()
			began := time.Now()
			require.EqualValues(t, n, b.next(t))
			require.Equal(t, time.Second, time.Since(began))
		}
	})
}

// TestEventsBetweenTwoLooks has an event of the user's engine come when that has been asked, and before Next waits: its wake-up is not lost,
// not even if the look at the kernel's engine takes it.
func TestEventsBetweenTwoLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoth(t)
		looking := make(chan struct{})
		b.kernel.Script("Next", enginefake.Step{Wait: looking})
		go func() {
			synctest.Wait()
			b.user.Emit(event(1))
			close(looking)
		}()
		began := time.Now()
		require.EqualValues(t, 1, b.next(t))
		require.Zero(t, time.Since(began))
	})
}

func TestNextEndsInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBoth(t)
		until := time.Now().Add(time.Second)
		is, err := b.Next(&lifecycle.Event{}, until)
		require.NoError(t, err)
		require.False(t, is)
		require.Equal(t, until, time.Now())
	})
}

// TestWake has Next return at once, whether it waits or is about to.
func TestWake(t *testing.T) {
	for name, wait := range map[string]time.Duration{"before": 0, "while it waits": time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBoth(t)
				began := time.Now()
				if wait == 0 {
					b.Wake()
				} else {
					time.AfterFunc(wait, b.Wake)
				}
				is, err := b.Next(&lifecycle.Event{}, time.Now().Add(time.Hour))
				require.NoError(t, err)
				require.False(t, is)
				require.Equal(t, wait, time.Since(began))
			})
		})
	}
}

// TestNeitherStarves has both always have events.
func TestNeitherStarves(t *testing.T) {
	b := newBoth(t)
	const each = 4 * burst
	for range each {
		b.kernel.Emit(event(1))
		b.user.Emit(event(2))
	}
	seen := map[uint64]int{}
	for n := range 2 * each {
		seen[b.next(t)]++
		difference := seen[1] - seen[2]
		require.LessOrEqual(t, max(difference, -difference), burst, "after %d events", n)
	}
	require.Equal(t, map[uint64]int{1: each, 2: each}, seen)
}
