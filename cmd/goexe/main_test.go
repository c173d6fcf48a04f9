package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

func TestText(t *testing.T) {
	exe := testbuild.Program(t, "hello", testbuild.Options{Version: "go1.26.8", Flags: []string{"-ldflags=-s -w"}})
	reports, followed := inspect([]string{exe, "/bin/true"})
	if followed {
		t.Error("a program in C is said to be followed")
	}
	var out bytes.Buffer
	if err := print(&out, reports, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"go1.26.8 for amd64", "-ldflags=-s -w", "table, measured on go1.26.8", "runtime.casgstatus", "emulated", "runtime.reentersyscall",
		"(system calls)", "nothing", "/bin/true\n  cannot be followed  not a Go binary",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the text has no %q:\n%s", want, out.String())
		}
	}
}

func TestJSON(t *testing.T) {
	reports, followed := inspect([]string{testbuild.Program(t, "hello", testbuild.Options{})})
	if !followed {
		t.Fatalf("it cannot be followed: %+v", reports)
	}
	var out bytes.Buffer
	if err := print(&out, reports, true); err != nil {
		t.Fatal(err)
	}
	var back []Report
	if err := json.Unmarshal(out.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if len(back) != 1 || len(back[0].Sites) == 0 || back[0].Sites[0].Offset == 0 || back[0].MainPath != "hello" {
		t.Errorf("it reads back as %+v", back)
	}
}
