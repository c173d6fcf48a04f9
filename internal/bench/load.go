//go:build linux

package main

import (
	"errors"
	"time"

	"golang.org/x/sync/errgroup"
)

// connections is how many clients ask at the same time.
const connections = 16

// request is one that was answered.
type request struct{ began, ended time.Time }

func (r request) took() time.Duration { return r.ended.Sub(r.began) }

// load are requests to a server by clients that keep their connections.
type load struct {
	clients []client
	// rate is how many requests a second all of them make together, at times that do not depend on the answers; 0 is as many as are answered.
	rate float64
}

func dialAll(server, address string) (l load, err error) {
	for i := range connections {
		c, err := dialers[server](address, i)
		if err != nil {
			l.close()
			return load{}, err
		}
		l.clients = append(l.clients, c)
	}
	return l, nil
}

func (l load) close() {
	for _, c := range l.clients {
		_ = c.Close()
	}
}

// drive makes requests for a time, and returns those that were answered. The longAt-th request of the first client takes long; 0 is none.
func (l load) drive(d time.Duration, longAt int) ([]request, error) {
	begin := time.Now()
	made := make([][]request, len(l.clients))
	var group errgroup.Group
	for i, c := range l.clients {
		group.Go(func() error {
			next := newPace(l.rate, len(l.clients), i, begin)
			for n := 1; ; n++ {
				at := next()
				if at.Sub(begin) >= d {
					return nil
				}
				time.Sleep(time.Until(at))
				r := request{began: time.Now()}
				if err := c.ask(i == 0 && n == longAt); err != nil {
					return err
				}
				r.ended = time.Now()
				made[i] = append(made[i], r)
			}
		})
	}
	err := group.Wait()
	var all []request
	for _, m := range made {
		all = append(all, m...)
	}
	if len(all) == 0 {
		err = errors.Join(err, errors.New("no request was answered"))
	}
	return all, err
}

// newPace returns when the i-th of so many clients is to make its next request.
func newPace(rate float64, clients, i int, begin time.Time) func() time.Time {
	if rate == 0 {
		return time.Now
	}
	interval := time.Duration(float64(clients) / rate * float64(time.Second))
	at := begin.Add(interval * time.Duration(i) / time.Duration(clients)).Add(-interval)
	return func() time.Time {
		at = at.Add(interval)
		return at
	}
}
