package main

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// What each client requests, over and over: mix is some of all, changes what has goroutines change their states rather than compute, for what
// is computed costs the same whoever looks on.
var (
	mix     = []string{"/hash", "/cache", "/fanout", "/slow", "/file", "/cache", "/fanout", "/hash"}
	changes = []string{"/cache", "/fanout", "/slow", "/file", "/cache", "/fanout"}
)

const (
	clients      = 6
	pause        = 5 * time.Millisecond
	leakInterval = 2 * time.Second
)

// load requests paths from a server until the context ends and returns how many requests were answered.
func load(ctx context.Context, url string, paths []string) int64 {
	var answered atomic.Int64
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				request(ctx, url+paths[n%len(paths)], &answered)
				sleep(ctx, pause)
			}
		})
	}
	wg.Go(func() {
		for ctx.Err() == nil {
			request(ctx, url+"/leak", &answered)
			sleep(ctx, leakInterval)
		}
	})
	wg.Wait()
	http.DefaultClient.CloseIdleConnections()
	return answered.Load()
}

// sleep sleeps for a time, but not longer than the context lasts.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func request(ctx context.Context, url string, answered *atomic.Int64) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return // the load has ended
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err == nil {
		answered.Add(1)
	}
}
