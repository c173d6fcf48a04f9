//go:build linux

package processes

import (
	"context"
	"slices"

	"go.uber.org/zap"
)

// maxExamples is how many Go programs are named that do not count.
const maxExamples = 5

// tell says how many processes were seen at the first scan. If none counts, it looks for Go programs that could: their number shows whether
// the configuration names the wrong ones, or none can be seen at all.
func (r *Registry) tell(seen Sight) {
	var programs []Process
	matching, running := 0, 0
	r.mu.Lock()
	for pid, p := range seen.Live {
		known := r.records[pid]
		if p.Executable == "" || known == nil {
			continue
		}
		programs = append(programs, p)
		if known.state != rejected {
			matching++
		}
		if known.state == selected {
			running++
		}
	}
	r.mu.Unlock()
	if matching > 0 {
		r.options.Logger.Info("Processes were looked for", zap.Int("processes", len(programs)), zap.Int("matching", matching), zap.Int("go_programs", running))
		return
	}
	go r.tellOthers(programs)
}

// tellOthers looks for Go programs among processes, which the scan does not wait for.
func (r *Registry) tellOthers(others []Process) {
	found := make(chan Process, len(others))
	var begun []<-chan struct{}
	for at, p := range r.places(others) {
		done := make(chan struct{})
		begun = append(begun, done)
		go func() {
			defer close(done)
			defer r.turn(at)()
			r.slots.use(func() {
				if r.system.isGo(p) {
					found <- p
				}
			})
		}()
	}
	await(context.Background(), begun)
	var examples []string
	for range len(found) {
		examples = append(examples, (<-found).Executable)
	}
	slices.Sort(examples)
	r.options.Logger.Info("No process matches targets. Others are looked for all the time", zap.Int("processes", len(others)),
		zap.Int("go_executables", len(examples)), zap.Strings("such_as", examples[:min(len(examples), maxExamples)]))
}

// places returns one process of each executable.
func (r *Registry) places(of []Process) map[place]Process {
	all := map[place]Process{}
	for _, p := range of {
		all[place{r.system.mounts(p.PID), p.Executable}] = p
	}
	return all
}
