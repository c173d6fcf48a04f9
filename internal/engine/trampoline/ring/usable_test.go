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
		change func(proc, sys fstest.MapFS)
		aux    func(cpu int) (uint32, bool)
		want   engine.Reason
	}{
		"usable":          {},
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
			m := machine{proc, sys, test.aux, false, pageSize}
			if m.auxiliary == nil {
				m.auxiliary = func(cpu int) (uint32, bool) { return uint32(cpu), true }
			}
			requireReason(t, m.usable("amd64", false), test.want)
		})
	}
}

// requireReason checks why a machine is refused, if it is.
func requireReason(t *testing.T, err error, want engine.Reason) {
	t.Helper()
	var refusal *engine.Refusal
	if errors.As(err, &refusal) != (want != "") || refusal != nil && refusal.Reason != want || want == "" && err != nil {
		t.Errorf("%v, want %q", err, want)
	}
}

// TestUsableARM64 refuses arm64 without leave, and there what trampolines cannot do without.
func TestUsableARM64(t *testing.T) {
	const counter = "arch_sys_counter\n"
	for name, test := range map[string]struct {
		arch       string
		leave      bool
		atomics    bool
		page       int
		source     string
		wantReason engine.Reason
		wantText   string
	}{
		"usable":        {"arm64", true, true, pageSize, counter, "", ""},
		"without leave": {"arm64", false, true, pageSize, counter, engine.RefusedArch, "trampoline::arm64: experimental"},
		"Armv8.0":       {"arm64", true, false, pageSize, counter, engine.RefusedArch, "Armv8.1"},
		"large pages":   {"arm64", true, true, 64 << 10, counter, engine.RefusedArch, "pages of 65536 bytes"},
		"other source":  {"arm64", true, true, pageSize, "timer\n", engine.RefusedTSC, "timer"},
		"another":       {"riscv64", true, true, pageSize, counter, engine.RefusedArch, "riscv64"},
	} {
		m := machine{fstest.MapFS{}, fstest.MapFS{sourcePath: {Data: []byte(test.source)}}, nil, test.atomics, test.page}
		err := m.usable(test.arch, test.leave)
		requireReason(t, err, test.wantReason)
		if err != nil && !strings.Contains(err.Error(), test.wantText) {
			t.Errorf("%s: %v", name, err)
		}
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

func TestRings(t *testing.T) {
	for _, test := range []struct {
		arch, possible, online string
		want                   uint32
		used                   []int
	}{
		{"amd64", "0-7", "0-1,4", 8, []int{0, 1, 4}},
		{"arm64", "0-7", "0-1,4", 4, []int{0, 1, 2, 3}},
		{"arm64", "0", "0", 2, []int{0, 1}},
		{"arm64", "0-3", "0-3", 4, []int{0, 1, 2, 3}},
		{"amd64", "0-9999", "0", 0, nil},
		{"amd64", "0", "", 0, nil},
	} {
		sys := fstest.MapFS{"devices/system/cpu/online": {Data: []byte(test.online)}, "devices/system/cpu/possible": {Data: []byte(test.possible)}}
		n, used, err := rings(sys, test.arch)
		if n != test.want || !reflect.DeepEqual(used, test.used) || (err == nil) != (test.want > 0) {
			t.Errorf("%s with %q of %q: %d rings, of which %v, %v", test.arch, test.online, test.possible, n, used, err)
		}
	}
}

// TestThisMachine has each CPU that this process may run on tell its number, or a reason why not.
func TestThisMachine(t *testing.T) {
	n, used, err := Rings()
	if err != nil {
		t.Fatal(err)
	}
	for _, ring := range used {
		if uint32(ring) >= n {
			t.Errorf("ring %d of %d", ring, n)
		}
	}
	err = Usable(true)
	var refusal *engine.Refusal
	if err != nil && !errors.As(err, &refusal) {
		t.Error(err)
	}
}
