package uprobe

import (
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// runTimeOf lets the kernel measure for a while how long the programs run at hits of the probes, of all targets. The kernel takes the time
// of each run then, which itself takes time.
func (t *Engine) runTimeOf(while time.Duration) (sum time.Duration, hits uint64, err error) {
	on, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if err != nil {
		return 0, 0, fmt.Errorf("let the kernel measure the programs: %w", err)
	}
	defer on.Close()
	before, hitsBefore, err := t.runTime()
	if err != nil {
		return 0, 0, err
	}
	time.Sleep(while)
	sum, hits, err = t.runTime()
	return sum - before, hits - hitsBefore, err
}

func (t *Engine) runTime() (sum time.Duration, hits uint64, err error) {
	for _, p := range []*ebpf.Program{t.objects.OnCasgstatus, t.objects.OnSwap} {
		stats, err := p.Stats()
		if err != nil {
			return 0, 0, fmt.Errorf("how long the programs have run: %w", err)
		}
		sum += stats.Runtime
		hits += stats.RunCount
	}
	return sum, hits, nil
}
