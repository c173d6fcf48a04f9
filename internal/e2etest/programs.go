//go:build linux

package e2etest

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sync/errgroup"
)

// Place copies an executable.
func Place(t testing.TB, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o755); err != nil {
		t.Fatal(err)
	}
}

// Load makes n requests, each on a connection of its own, four at a time.
func Load(t testing.TB, url string, n int) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var group errgroup.Group
	group.SetLimit(4)
	for range n {
		group.Go(func() error {
			response, err := client.Get(url)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			_, err = io.Copy(io.Discard, response.Body)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}

// Address is FreeAddress for tests.
func Address(t testing.TB) string {
	t.Helper()
	a, err := FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return a
}
