//go:build linux

package ring

import (
	"errors"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
)

const goodFlags = "flags\t\t: fpu tsc rdtscp lm constant_tsc nonstop_tsc\n"

func TestUsable(t *testing.T) {
	tests := map[string]struct {
		arch   string
		change func(proc, sys fstest.MapFS)
		aux    func(cpu int) (uint32, bool)
		want   engine.Reason
	}{
		"usable":          {},
		"arm64":           {arch: "arm64", want: engine.RefusedArch},
		"rate changes":    {change: without("constant_tsc"), want: engine.RefusedTSC},
		"stops in sleep":  {change: without("nonstop_tsc"), want: engine.RefusedTSC},
		"no RDTSCP":       {change: without("rdtscp"), want: engine.RefusedTSC},
		"no flags":        {change: without("flags"), want: engine.RefusedTSC},
		"no cpuinfo":      {change: func(proc, _ fstest.MapFS) { delete(proc, "cpuinfo") }, want: engine.RefusedTSC},
		"other source":    {change: source("kvm-clock\n"), want: engine.RefusedTSC},
		"no source":       {change: func(_, sys fstest.MapFS) { delete(sys, sourcePath) }, want: engine.RefusedTSC},
		"node too":        {aux: func(cpu int) (uint32, bool) { return 3<<12 | uint32(cpu), true }},
		"not set":         {aux: func(int) (uint32, bool) { return 0, true }, want: engine.RefusedTSCAux},
		"some forbidden":  {aux: func(cpu int) (uint32, bool) { return uint32(cpu), cpu == 2 }},
		"all forbidden":   {aux: func(int) (uint32, bool) { return 0, false }, want: engine.RefusedTSCAux},
		"no list of CPUs": {change: func(_, sys fstest.MapFS) { delete(sys, "devices/system/cpu/online") }, want: engine.RefusedTSCAux},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			proc := fstest.MapFS{"cpuinfo": {Data: []byte("processor\t: 0\n" + goodFlags + "\nprocessor\t: 1\n" + goodFlags)}}
			sys := fstest.MapFS{sourcePath: {Data: []byte("tsc\n")}, "devices/system/cpu/online": {Data: []byte("0-1,2\n")}}
			if test.change != nil {
				test.change(proc, sys)
			}
			m := machine{proc, sys, test.aux}
			if m.auxiliary == nil {
				m.auxiliary = func(cpu int) (uint32, bool) { return uint32(cpu), true }
			}
			arch := test.arch
			if arch == "" {
				arch = "amd64"
			}
			err := m.usable(arch)
			var refusal *engine.Refusal
			if errors.As(err, &refusal) != (test.want != "") || refusal != nil && refusal.Reason != test.want {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

const sourcePath = "devices/system/clocksource/clocksource0/current_clocksource"

// without takes a word from what the last processor has.
func without(word string) func(proc, sys fstest.MapFS) {
	return func(proc, _ fstest.MapFS) {
		info := string(proc["cpuinfo"].Data)
		at := strings.LastIndex(info, word)
		if word == "flags" {
			info, at = "", 0
			word = ""
		}
		proc["cpuinfo"].Data = []byte(info[:at] + info[at+len(word):])
	}
}

func source(name string) func(proc, sys fstest.MapFS) {
	return func(_, sys fstest.MapFS) { sys[sourcePath].Data = []byte(name) }
}

func TestReadCPUs(t *testing.T) {
	tests := map[string][]int{"0": {0}, "0-3,8\n": {0, 1, 2, 3, 8}, "": nil, "a": nil, "3-1": nil, "0-99999": nil, "4096": nil, "-1": nil}
	for list, want := range tests {
		got, err := readCPUs(fstest.MapFS{"devices/system/cpu/online": {Data: []byte(list)}}, "online")
		if !reflect.DeepEqual(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%q: %v, %v", list, got, err)
		}
	}
	if _, err := readCPUs(fstest.MapFS{}, "online"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a list: %v", err)
	}
}

// TestThisMachine has each CPU that this process may run on tell its number, or a reason why not.
func TestThisMachine(t *testing.T) {
	n, err := PossibleCPUs()
	if err != nil {
		t.Fatal(err)
	}
	online, err := OnlineCPUs()
	if err != nil {
		t.Fatal(err)
	}
	for _, cpu := range online {
		if uint32(cpu) >= n {
			t.Errorf("CPU %d of %d", cpu, n)
		}
	}
	err = Usable()
	var refusal *engine.Refusal
	if err != nil && !errors.As(err, &refusal) {
		t.Error(err)
	}
}
