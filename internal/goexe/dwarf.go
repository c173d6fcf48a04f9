package goexe

import (
	"debug/dwarf"
	"debug/elf"
	"errors"
	"fmt"
	"strings"
)

// Offsets of fields, in bytes, by their names in DWARF, nested ones joined by dots.
type Offsets map[string]uint16

// startPCBehindGoPC is the distance of g.startpc from g.gopc, in bytes: the probes read both at once (runtime/runtime2.go, Go 1.17 to 1.27).
const startPCBehindGoPC = 16

// NewLayout makes a layout of what was measured, whichever way. A field that only some releases have is 0 where it is missing.
func NewLayout(goVersion string, gSize uint16, g, m, moduledata Offsets, status map[string]uint8, reasons []string) (*Layout, error) {
	for _, need := range []struct {
		of     Offsets
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
	if g["startpc"] != g["gopc"]+startPCBehindGoPC {
		return nil, errors.New("runtime.g has not gopc, ancestors and startpc one after the other")
	}
	delete(status, "Gscan")
	return &Layout{
		GoVersion: goVersion,
		G: GLayout{
			Goid: g["goid"], AtomicStatus: g["atomicstatus"], WaitSince: g["waitsince"], WaitReason: g["waitreason"],
			ParentGoid: g["parentGoid"], GoPC: g["gopc"], StartPC: g["startpc"], Labels: g["labels"], M: g["m"],
			SchedSP: g["sched.sp"], SchedPC: g["sched.pc"], SchedBP: g["sched.bp"], Size: gSize,
		},
		M:           MLayout{Curg: m["curg"]},
		Moduledata:  ModuledataLayout{Text: moduledata["text"], GoFunc: moduledata["gofunc"]},
		Status:      status,
		WaitReasons: reasons,
	}, nil
}

// MeasureLayout reads the layout of a Go version from an executable file that it built, with DWARF and an ELF symbol table.
func MeasureLayout(goVersion, path string) (*Layout, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	reasons, err := readWaitReasons(path)
	if err != nil {
		return nil, err
	}
	return layoutFromDWARF(goVersion, f, reasons)
}

func layoutFromDWARF(goVersion string, f *elf.File, reasons []string) (*Layout, error) {
	d, err := f.DWARF()
	if err != nil {
		return nil, err
	}
	structs := map[string]*dwarf.StructType{"runtime.g": nil, "runtime.m": nil, "runtime.moduledata": nil}
	status := map[string]uint8{}
	r := d.Reader()
	for {
		e, err := r.Next()
		if err != nil {
			return nil, err
		}
		if e == nil {
			break
		}
		name, _ := e.Val(dwarf.AttrName).(string)
		switch e.Tag {
		case dwarf.TagStructType:
			if _, ok := structs[name]; ok {
				t, err := d.Type(e.Offset)
				if err != nil {
					return nil, err
				}
				if structs[name], ok = t.(*dwarf.StructType); !ok {
					return nil, fmt.Errorf("%s is no structure in DWARF", name)
				}
			}
		case dwarf.TagConstant:
			value, isInt := e.Val(dwarf.AttrConstValue).(int64)
			if s, ok := strings.CutPrefix(name, "runtime._G"); ok && isInt && value >= 0 && value < 16 && isStatus(s) {
				status["G"+s] = uint8(value)
			}
		}
	}
	for name, t := range structs {
		if t == nil {
			return nil, fmt.Errorf("no %s in DWARF", name)
		}
	}
	if len(status) < 6 {
		return nil, errors.New("no goroutine statuses in DWARF")
	}
	g := structs["runtime.g"]
	return NewLayout(goVersion, uint16(g.Size()), fieldsOf(g), fieldsOf(structs["runtime.m"]), fieldsOf(structs["runtime.moduledata"]), status, reasons)
}

// isStatus tells the goroutine statuses from other constants of package runtime that begin with _G.
func isStatus(name string) bool {
	return name[0] >= 'a' && name[0] <= 'z' && !strings.HasPrefix(name, "scan") && name != "oidCacheBatch"
}

func fieldsOf(t *dwarf.StructType) Offsets {
	o := Offsets{}
	for _, f := range t.Field {
		o[f.Name] = uint16(f.ByteOffset)
		if nested, ok := f.Type.(*dwarf.StructType); ok {
			for _, n := range nested.Field {
				o[f.Name+"."+n.Name] = uint16(f.ByteOffset + n.ByteOffset)
			}
		}
		if typedef, ok := f.Type.(*dwarf.TypedefType); ok {
			if nested, ok := typedef.Type.(*dwarf.StructType); ok {
				for _, n := range nested.Field {
					o[f.Name+"."+n.Name] = uint16(f.ByteOffset + n.ByteOffset)
				}
			}
		}
	}
	return o
}
