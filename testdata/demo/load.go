package main

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// mix is what each client requests, over and over.
var mix = []string{"/hash", "/cache", "/fanout", "/slow", "/file", "/cache", "/fanout", "/hash"}

const (
	clients      = 6
	pause        = 5 * time.Millisecond
	leakInterval = 2 * time.Second
)

// load requests from a server until the context ends and returns how many requests were answered.
func load(ctx context.Context, url string) int64 {
	var answered atomic.Int64
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				request(ctx, url+mix[n%len(mix)], &answered)
				time.Sleep(pause)
			}
		})
	}
	wg.Go(func() {
		for ctx.Err() == nil {
			request(ctx, url+"/leak", &answered)
			time.Sleep(leakInterval)
		}
	})
	wg.Wait()
	http.DefaultClient.CloseIdleConnections()
	return answered.Load()
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
