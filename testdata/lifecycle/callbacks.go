//go:build cgo && go1.21

package main

/*
#include <pthread.h>
extern void callback(void);

static inline void *call_back(void *unused) {
	for (int i = 0; i < 5; i++)
		callback();
	return unused;
}

static inline void run_thread(void) {
	pthread_t thread;

	pthread_create(&thread, 0, call_back, 0);
	pthread_join(thread, 0);
}
*/
import "C"

import (
	"sync"
	"time"
)

func init() { newer = append(newer, callbacks) }

var calledBack sync.Once

// callbacks waits in C for a thread that C has made, which calls back into Go; older releases write traces of that which nobody can read. It does so once: the goroutine of the next such thread would
// have the same id.
func callbacks() {
	defer group.Done()
	calledBack.Do(func() { C.run_thread() })
}

//export callback
func callback() { time.Sleep(time.Millisecond) }
