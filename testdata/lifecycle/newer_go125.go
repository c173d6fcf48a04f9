//go:build go1.25

package main

import (
	"flag"
	"testing"
	"testing/synctest"
	"time"
)

func init() {
	testing.Init()
	flag.CommandLine.Parse(nil)
	newer = append(newer, bubbles)
}

// bubbles runs a test whose goroutines live in a bubble with a time of its own.
func bubbles() {
	defer group.Done()
	match := func(string, string) (bool, error) { return true, nil }
	testing.RunTests(match, []testing.InternalTest{{Name: "bubble", F: func(t *testing.T) { synctest.Test(t, bubble) }}})
}

func bubble(t *testing.T) {
	done := make(chan int)
	go sleepInBubble(done)
	synctest.Wait()
	<-done
}

func sleepInBubble(done chan<- int) {
	time.Sleep(time.Hour)
	done <- 1
}
