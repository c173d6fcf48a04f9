package outlet

import (
	"sync"
	"time"

	"go.uber.org/zap"
)

// lossInterval is the least time between two lines of the log that tell of losses.
const lossInterval = 10 * time.Second

// losses tells the log what was not taken: a pipeline that refuses may do so many times a second.
type losses struct {
	logger *zap.Logger
	of     string

	mu     sync.Mutex
	untold int
	why    error
	told   time.Time
}

func (l *losses) add(n int, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.untold += n
	l.why = why
	if time.Since(l.told) >= lossInterval {
		l.tell()
	}
}

// flush tells what has not been told yet.
func (l *losses) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.untold > 0 {
		l.tell()
	}
}

func (l *losses) tell() {
	l.logger.Warn("The pipeline does not take what goroutines did: it is lost", zap.String("lost", l.of), zap.Int("count", l.untold), zap.Error(l.why))
	l.untold, l.told = 0, time.Now()
}
