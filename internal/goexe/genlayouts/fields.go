package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

// offsets of fields by their names in DWARF, nested ones joined by dots.
type offsets map[string]uint16

// build makes a layout of what was measured, whichever way. A field that only some releases have is 0 where it is missing.
func build(goVersion string, gSize uint16, g, m, moduledata offsets, status map[string]uint8, reasons []string) (*goexe.Layout, error) {
	for _, need := range []struct {
		of     offsets
		name   string
		fields []string
	}{
		{g, "g", []string{"goid", "atomicstatus", "waitsince", "waitreason", "gopc", "startpc", "labels", "m", "sched.sp", "sched.pc", "sched.bp"}},
		{m, "m", []string{"curg"}},
		{moduledata, "moduledata", []string{"text"}},
	} {
		for _, f := range need.fields {
			if _, ok := need.of[f]; !ok {
				return nil, fmt.Errorf("runtime.%s has no field %s", need.name, f)
			}
		}
	}
	delete(status, "Gscan")
	return &goexe.Layout{
		GoVersion: goVersion,
		G: goexe.GLayout{
			Goid: g["goid"], AtomicStatus: g["atomicstatus"], WaitSince: g["waitsince"], WaitReason: g["waitreason"],
			ParentGoid: g["parentGoid"], GoPC: g["gopc"], StartPC: g["startpc"], Labels: g["labels"], M: g["m"],
			SchedSP: g["sched.sp"], SchedPC: g["sched.pc"], SchedBP: g["sched.bp"], Size: gSize,
		},
		M:           goexe.MLayout{Curg: m["curg"]},
		Moduledata:  goexe.ModuledataLayout{Text: moduledata["text"], GoFunc: moduledata["gofunc"]},
		Status:      status,
		WaitReasons: reasons,
	}, nil
}

// importMeasured reads a file of layouts that were measured elsewhere, one a release and architecture. The architectures must
// agree, or the table could not do without them.
func importMeasured(path string) ([]goexe.Layout, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var measured []struct {
		GoVersion   string
		GSize       uint16 `json:"g_size"`
		G           offsets
		M           offsets
		Moduledata  offsets
		Status      map[string]int
		WaitReasons []string
	}
	if err := json.Unmarshal(b, &measured); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var ls []goexe.Layout
	for _, x := range measured {
		status := map[string]uint8{}
		for name, value := range x.Status {
			if name != "Gscan" {
				status[name] = uint8(value)
			}
		}
		l, err := build(x.GoVersion, x.GSize, x.G, x.M, x.Moduledata, status, x.WaitReasons)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, x.GoVersion, err)
		}
		if n := len(ls); n > 0 && ls[n-1].GoVersion == l.GoVersion {
			if fmt.Sprint(ls[n-1]) != fmt.Sprint(*l) {
				return nil, fmt.Errorf("%s: %s differs between architectures", path, l.GoVersion)
			}
			continue
		}
		ls = append(ls, *l)
	}
	return ls, nil
}
