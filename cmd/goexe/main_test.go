package main

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/testbuild"
)

func TestText(t *testing.T) {
	exe := testbuild.Program(t, "hello", testbuild.Options{Version: "go1.26.8", Flags: []string{"-ldflags=-s -w"}})
	reports, followed := inspect([]string{exe, "/bin/true"}, 0)
	if followed {
		t.Error("a program in C is said to be followed")
	}
	var out bytes.Buffer
	if err := print(&out, reports, false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"go1.26.8 for amd64", "-ldflags=-s -w", "table, measured on go1.26.8", "runtime.casgstatus", "emulated", "runtime.reentersyscall",
		"(system calls)", "nothing", "confirmed by  form of the function table, size of runtime.g, wait reasons", "wait reasons are stored before the wait",
		"system calls bypass casgstatus", "47 wait reasons, 10 of which keep the thread", "/bin/true\n  cannot be followed  not a Go binary",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the text has no %q:\n%s", want, out.String())
		}
	}
}

// TestReasons refuses files for different reasons.
func TestReasons(t *testing.T) {
	for _, c := range []struct {
		o    testbuild.Options
		want string
	}{
		{testbuild.Options{Version: "go1.17.13", Env: []string{"GOARCH=arm64"}}, "go1.17.13 for arm64 passes arguments on the stack: only go1.18 and later are supported"},
		{testbuild.Options{Env: []string{"GOARCH=riscv64"}}, "built for EM_RISCV: only amd64 and arm64 are supported"},
	} {
		reports, followed := inspect([]string{testbuild.Program(t, "hello", c.o)}, 0)
		if followed || !strings.Contains(reports[0].Error, c.want) {
			t.Errorf("the report is %+v, want one with %q", reports[0], c.want)
		}
	}
}

func TestOlderRelease(t *testing.T) {
	reports, followed := inspect([]string{testbuild.Program(t, "hello", testbuild.Options{Version: testbuild.Versions[0]})}, 0)
	if !followed {
		t.Fatalf("it cannot be followed: %+v", reports)
	}
	all := strings.Join(reports[0].Release, "; ")
	for _, want := range []string{"may be stale", "thread's register", "a map", "pass casgstatus", "27 wait reasons"} {
		if !strings.Contains(all, want) {
			t.Errorf("of %s is said %q, which has no %q", testbuild.Versions[0], all, want)
		}
	}
}

// TestPatches shows what trampolines take the place of, or why they cannot.
func TestPatches(t *testing.T) {
	for _, c := range []struct {
		o    testbuild.Options
		want []string
	}{
		{testbuild.Options{Version: "go1.26.8", Flags: []string{"-ldflags=-s -w"}}, []string{
			`trampoline +runtime\.casgstatus +at 0x[0-9a-f]+ +call: mov %rax,0x[0-9a-f]+\(%rsp\)`,
			`trampoline +runtime\.reentersyscall +at 0x[0-9a-f]+ +swap: lock cmpxchg %r\w+,0x90\(%r\w+\) \(system calls\)`,
		}},
		{testbuild.Options{Env: []string{"GOARCH=arm64"}}, []string{
			`trampoline +runtime\.casgstatus +at 0x[0-9a-f]+ +call: str x0, \[sp,#\d+\]`, `swap: cset x\d+, eq`,
		}},
		{testbuild.Options{Flags: []string{"-gcflags=all=-N -l"}}, []string{`no trampolines +runtime\.\w+: the status is swapped by a call, as -gcflags=all=-l builds it`}},
	} {
		reports, followed := inspect([]string{testbuild.Program(t, "hello", c.o)}, 0)
		if !followed || (len(reports[0].Patches) == 0) != (reports[0].NoPatches != "") {
			t.Fatalf("the report is %+v", reports)
		}
		var out bytes.Buffer
		if err := print(&out, reports, false); err != nil {
			t.Fatal(err)
		}
		for _, want := range c.want {
			if !regexp.MustCompile(want).Match(out.Bytes()) {
				t.Errorf("the text has no %q:\n%s", want, out.String())
			}
		}
	}
}

func TestJSON(t *testing.T) {
	reports, followed := inspect([]string{testbuild.Program(t, "hello", testbuild.Options{})}, 0)
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
	if len(back) != 1 || len(back[0].Sites) == 0 || back[0].Sites[0].Offset == 0 || len(back[0].Patches) != len(back[0].Sites) || back[0].MainPath != "hello" {
		t.Errorf("it reads back as %+v", back)
	}
}
