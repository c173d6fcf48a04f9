// Program demo runs a sample HTTP server under load, follows its goroutines with the collector and prints what the collector exported, and
// what it costs the server to be followed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const loadDuration = 12 * time.Second

func main() {
	html := flag.String("html", "", "a file to write a page to, which shows the same in a browser")
	flag.Parse()
	if err := run(*html); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(html string) error {
	dir, err := os.MkdirTemp("", "goroutine-demo")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	exe := filepath.Join(dir, "server")
	if err := build(exe); err != nil {
		return err
	}
	if err := show(dir, exe, html); err != nil {
		return err
	}
	return compare(os.Stdout, dir, exe)
}

// show prints what the collector exports of the server, and writes a page of it if that has a name.
func show(dir, exe, html string) error {
	// The server runs before the collector does, as in production.
	s, err := startServer(exe)
	if err != nil {
		return err
	}
	defer end(s.Cmd)
	c, err := startCollector(dir, exe, "uprobe")
	if err != nil {
		return err
	}
	defer c.stop()
	fmt.Printf("The server runs as process %d; the collector follows it. Load for %s ...\n", s.Process.Pid, loadDuration)
	ctx, cancel := context.WithTimeout(context.Background(), loadDuration)
	defer cancel()
	requests := load(ctx, s.url, mix)
	time.Sleep(2 * collectionInterval)
	if err := c.stop(); err != nil {
		return err
	}
	summarize(os.Stdout, c.backend, requests)
	timelines(os.Stdout, c.backend.Spans())
	fmt.Print("\nThe same in Jaeger: have the collector export to it, as docs/backends.md says, and search for the trace. What is in one: docs/reading-a-trace.md.\n\n")
	if html == "" {
		return nil
	}
	return writePicture(html, c.backend)
}
