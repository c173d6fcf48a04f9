package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

func TestProcessText(t *testing.T) {
	patches := []goexe.Patch{{Function: "runtime.one", Address: 1, Code: []byte{0xf0, 0x0f}}, {Function: "runtime.two", Address: 3, Code: []byte{0xb1, 0x8b}}}
	memory := readCode(strings.NewReader("....\xf0\x0f\xe9\x00"), 3, patches)
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"permits": {nil, "permits trampolines"},
		"refuses": {fmt.Errorf("process 7: %w", engine.Refuse(engine.RefusedSeccomp, "filtered")), "permits no trampolines\tseccomp\tfiltered"},
		"ended":   {errors.New("no such process"), "it is not known whether it permits trampolines: no such process"},
	} {
		t.Run(name, func(t *testing.T) {
			p := Process{PID: 7, Memory: memory}
			p.setRefusal(test.err)
			var out bytes.Buffer
			p.write(&out)
			for _, want := range []string{test.want, "runtime.one\tat 0x4\tf00f, as in the file", "runtime.two\tat 0x6\te900, in the place of b18b"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("the text has no %q:\n%s", want, out.String())
				}
			}
		})
	}
	if all := readCode(strings.NewReader("short"), 3, patches); all != nil {
		t.Errorf("memory that cannot be read is told: %v", all)
	}
}
