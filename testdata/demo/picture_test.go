//go:build linux && packaging

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/png"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/otelgoroutine/goroutinereceiver/internal/e2etest"
)

// TestPicture clicks on a trace in a real browser: its goroutines and their states are drawn. It needs chromium and chromedriver.
func TestPicture(t *testing.T) {
	file := filepath.Join(t.TempDir(), "picture.html")
	spans := []ptrace.Span{span(1, 2, 1, "running", "running", 0, 2000), span(1, 1, 0, "serve </script>", "", 0, 5000), span(1, 3, 1, "waiting: sleep", "waiting", 2000, 3000)}
	spans = append(spans, span(2, 4, 0, "other", "", 100, 10))
	counts := []map[string]int{{"running": 1, "waiting": 9}, {"running": 2, "waiting": 12}}
	if err := writePage(file, picture{"shop", counts, tracesOf(spans)}); err != nil {
		t.Fatal(err)
	}
	b := openBrowser(t, "file://"+file)
	if got := b.run(t, `return document.querySelectorAll('#requests tbody tr').length + ' ' + document.querySelectorAll('#chart polygon').length`); got != "2 4" {
		t.Errorf("traces and states are %q", got)
	}
	if got := b.run(t, `return document.querySelectorAll('#timeline rect').length`); got != float64(0) {
		t.Errorf("before the click, %v intervals are drawn", got)
	}
	b.click(t, "#requests tbody tr")
	if got := b.run(t, `return [...document.querySelectorAll('#timeline rect')].map(e => e.getAttribute('class')).join(' ')`); got != "goroutine running waiting" {
		t.Errorf("after the click, %v are drawn", got)
	}
	if got := b.run(t, `return document.getElementById('title').textContent`); got != "serve </script>, 0.005 ms" {
		t.Errorf("the title is %q", got)
	}
	if got := b.run(t, `return performance.getEntriesByType('resource').length`); got != float64(0) {
		t.Errorf("the page has loaded %v other files", got)
	}
	b.screenshot(t)
}

// browser is a session of the WebDriver protocol.
type browser struct{ url string }

func openBrowser(t *testing.T, page string) browser {
	t.Helper()
	address := e2etest.Address(t)
	driver := exec.Command("chromedriver", "--port="+address[strings.LastIndexByte(address, ':')+1:])
	if err := driver.Start(); err != nil {
		t.Fatalf("the test needs chromedriver: %v", err)
	}
	t.Cleanup(func() {
		_ = driver.Process.Kill()
		_ = driver.Wait()
	})
	b := browser{"http://" + address}
	e2etest.Eventually(t, "chromedriver", func() bool {
		response, err := http.Get(b.url + "/status")
		if err == nil {
			response.Body.Close()
		}
		return err == nil
	}, func() string { return "" })
	arguments := []string{
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--user-data-dir=" + t.TempDir(),
	}
	session := b.ask(t, "/session", object{"capabilities": object{"alwaysMatch": object{"goog:chromeOptions": object{"args": arguments}}}})
	b.url += "/session/" + session.(map[string]any)["sessionId"].(string)
	t.Cleanup(func() {
		request, _ := http.NewRequest(http.MethodDelete, b.url, nil)
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
		}
	})
	b.ask(t, "/url", object{"url": page})
	return b
}

type object = map[string]any

// ask makes a request of the protocol and returns its value.
func (b browser) ask(t *testing.T, path string, body object) any {
	t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: time.Minute}
	response, err := client.Post(b.url+path, "application/json", bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct{ Value any }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v %v", path, response.Status, answer.Value, err)
	}
	return answer.Value
}

func (b browser) run(t *testing.T, script string) any {
	t.Helper()
	return b.ask(t, "/execute/sync", object{"script": script, "args": []any{}})
}

func (b browser) click(t *testing.T, selector string) {
	t.Helper()
	found := b.ask(t, "/element", object{"using": "css selector", "value": selector})
	for _, id := range found.(map[string]any) {
		b.ask(t, fmt.Sprintf("/element/%v/click", id), object{})
	}
}

// screenshot checks that something is to be seen: the color of a state that runs.
func (b browser) screenshot(t *testing.T) {
	t.Helper()
	response, err := http.Get(b.url + "/screenshot")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct{ Value []byte } // JSON has it in base64
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if path := os.Getenv("SCREENSHOT"); path != "" {
		if err := os.WriteFile(path, answer.Value, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	picture, err := png.Decode(bytes.NewReader(answer.Value))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for y := range picture.Bounds().Dy() {
		for x := range picture.Bounds().Dx() {
			if r, g, b, _ := picture.At(x, y).RGBA(); r>>8 == 0x2a && g>>8 == 0x9d && b>>8 == 0x4a {
				found++
			}
		}
	}
	if found < 1000 {
		t.Errorf("%d pixels show what runs", found)
	}
}
