//go:build linux

package goroutinereceiver

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"

	"github.com/otelgoroutine/goroutinereceiver/internal/processes"
)

// signalHost is the host of one signal's instance of the receiver.
type signalHost struct {
	component.Host
	events []*componentstatus.Event
}

func (h *signalHost) Report(e *componentstatus.Event) { h.events = append(h.events, e) }

func (h *signalHost) last() *componentstatus.Event {
	if len(h.events) == 0 {
		return componentstatus.NewEvent(componentstatus.StatusNone)
	}
	return h.events[len(h.events)-1]
}

func aProcessWith(pid int) processes.Process {
	return processes.Process{PID: pid, Executable: "/srv/api"}
}

func TestAllHostsHaveTheStatus(t *testing.T) {
	early, late := &signalHost{}, &signalHost{}
	s := newStatus()
	defer s.close()
	s.join(early)
	assert.Empty(t, early.events)
	s.problem(aProcessWith(os.Getpid()), errors.New("no"))
	s.join(late)
	for _, h := range []*signalHost{early, late} {
		assert.Equal(t, componentstatus.StatusRecoverableError, h.last().Status())
		assert.ErrorContains(t, h.last().Err(), "(/srv/api): no")
	}
	s.followed(aProcessWith(os.Getpid()))
	for _, h := range []*signalHost{early, late} {
		assert.Equal(t, componentstatus.StatusOK, h.last().Status())
	}
}

func TestOneProcessDoesNotHideTheErrorOfAnother(t *testing.T) {
	h := &signalHost{}
	s := newStatus()
	defer s.close()
	s.join(h)
	s.problem(aProcessWith(7), errors.New("first"))
	s.problem(aProcessWith(8), errors.New("second"))
	s.followed(aProcessWith(9))
	assert.Equal(t, componentstatus.StatusRecoverableError, h.last().Status())
	assert.EqualError(t, h.last().Err(), "process 7 (/srv/api): first; and 1 more")
	s.followed(aProcessWith(7))
	assert.EqualError(t, h.last().Err(), "process 8 (/srv/api): second")
	before := len(h.events)
	s.followed(aProcessWith(9))
	assert.Len(t, h.events, before, "what has not changed is not said again")
	s.followed(aProcessWith(8))
	assert.Equal(t, componentstatus.StatusOK, h.last().Status())
}

func TestProblemsEndWithTheirProcesses(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	require.NoError(t, cmd.Start())
	h := &signalHost{}
	s := newStatus()
	defer s.close()
	s.join(h)
	s.problem(aProcessWith(cmd.Process.Pid), errors.New("no"))
	s.forgetEnded()
	assert.Equal(t, componentstatus.StatusRecoverableError, h.last().Status())
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	s.forgetEnded()
	assert.Equal(t, componentstatus.StatusOK, h.last().Status())
	s.problem(aProcessWith(1<<22+1), processes.ErrNoProcess)
	s.forgetEnded()
	assert.Equal(t, componentstatus.StatusRecoverableError, h.last().Status(), "who was named by id and is not there is missed")
}

func TestPermanentErrorIsTheLastWord(t *testing.T) {
	h, late := &signalHost{}, &signalHost{}
	s := newStatus()
	s.join(h)
	s.fail(errors.New("no kernel"))
	s.followed(aProcessWith(7))
	s.join(late)
	for _, host := range []*signalHost{h, late} {
		assert.Len(t, host.events, 1)
		assert.Equal(t, componentstatus.StatusPermanentError, host.last().Status())
	}
}
