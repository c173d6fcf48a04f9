package goexe

import (
	"debug/dwarf"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Offsets of fields, in bytes, by their names in DWARF, nested ones joined by dots.
type Offsets map[string]uint16

// startPCBehindGoPC is the distance of g.startpc from g.gopc, in bytes: the probes read both at once (runtime/runtime2.go, Go 1.17 to 1.27).
const startPCBehindGoPC = 16

// stackLo and stackHi are the offsets of g.stack's bounds: runtime/cgo relies on stack being the first field
// (runtime/runtime2.go, Go 1.17 to 1.27).
const stackLo, stackHi = 0, 8

// NewLayout makes a layout of what was measured, whichever way. A field that only some releases have is 0 where it is missing.
func NewLayout(goVersion string, gSize uint16, g, m, moduledata, sudog, hchan Offsets, status map[string]uint8, reasons []string) (*Layout, error) {
	for _, need := range []struct {
		of     Offsets
		name   string
		fields []string
	}{
		{g, "g", []string{
			"goid", "atomicstatus", "waitsince", "waitreason", "gopc", "startpc", "labels", "m", "waiting", "param", "sched.sp", "sched.pc", "sched.bp", "stack.lo", "stack.hi",
		}},
		{m, "m", []string{"curg", "procid"}},
		{moduledata, "moduledata", []string{"text"}},
		{sudog, "sudog", []string{"elem", "acquiretime", "c", "waitlink"}},
		{hchan, "hchan", []string{"dataqsiz", "sendx", "recvx", "lock"}},
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
	if g["stack.lo"] != stackLo || g["stack.hi"] != stackHi {
		return nil, errors.New("runtime.g does not begin with the bounds of the stack")
	}
	delete(status, "Gscan")
	return &Layout{
		GoVersion: goVersion,
		G: GLayout{
			Goid: g["goid"], AtomicStatus: g["atomicstatus"], WaitSince: g["waitsince"], WaitReason: g["waitreason"],
			ParentGoid: g["parentGoid"], GoPC: g["gopc"], StartPC: g["startpc"], Labels: g["labels"], M: g["m"],
			Waiting: g["waiting"], Param: g["param"], SchedSP: g["sched.sp"], SchedPC: g["sched.pc"], SchedBP: g["sched.bp"], Size: gSize,
		},
		M:           MLayout{Curg: m["curg"], Procid: m["procid"]},
		Sudog:       sudogLayout(sudog),
		Hchan:       HchanLayout{DataQSiz: hchan["dataqsiz"], SendX: hchan["sendx"], RecvX: hchan["recvx"], Lock: hchan["lock"]},
		Moduledata:  ModuledataLayout{Text: moduledata["text"], GoFunc: moduledata["gofunc"]},
		Status:      status,
		WaitReasons: reasons,
	}, nil
}

// sudogLayout returns where a sudog names its channel. Since Go 1.26, pointers in it are two words, of which the second counts
// (maybeTraceablePtr in runtime/runtime2.go).
func sudogLayout(sudog Offsets) SudogLayout {
	const word = 8
	return SudogLayout{C: sudog["c"] + sudog["acquiretime"] - sudog["elem"] - word, WaitLink: sudog["waitlink"]}
}

// MeasureLayout reads the layout of a Go version from an executable file that it built, with DWARF and an ELF symbol table.
func MeasureLayout(goVersion, path string) (l *Layout, err error) {
	im, err := openImage(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, im.close()) }()
	err = guarded(func() error {
		l, err = measuredLayout(goVersion, im)
		return err
	})
	return l, err
}

// measuredLayout returns the layout that a file's own debug information tells.
func measuredLayout(goVersion string, im *image) (*Layout, error) {
	d, err := debugInfo(im)
	if err != nil {
		return nil, err
	}
	reasons, err := readReasons(im)
	if err != nil {
		return nil, err
	}
	found, err := readRuntime(d)
	if err != nil {
		return nil, err
	}
	g := found.structs["runtime.g"]
	return NewLayout(goVersion, g.size, g.fields, found.structs["runtime.m"].fields, found.structs["runtime.moduledata"].fields,
		found.structs["runtime.sudog"].fields, found.structs["runtime.hchan"].fields, found.status, reasons)
}

// runtimeTypes is what the debug information tells of package runtime.
type runtimeTypes struct {
	structs map[string]structure
	status  map[string]uint8
}

type structure struct {
	size   uint16
	fields Offsets
}

var wantedStructs = []string{"runtime.g", "runtime.m", "runtime.moduledata", "runtime.sudog", "runtime.hchan"}

// readRuntime reads the compilation units of package runtime: among the first's children are its constants, and among those of a later one
// the types of all packages (cmd/link/internal/ld/dwarf.go).
func readRuntime(d *dwarf.Data) (runtimeTypes, error) {
	found := runtimeTypes{structs: map[string]structure{}, status: map[string]uint8{}}
	r := d.Reader()
	inside := false
	for {
		e, err := r.Next()
		if err != nil && found.missing() != nil {
			return runtimeTypes{}, err
		}
		if e == nil || e.Tag == dwarf.TagCompileUnit && found.missing() == nil { // a unit has all constants, or all types
			break
		}
		name, _ := e.Val(dwarf.AttrName).(string)
		if e.Tag == dwarf.TagCompileUnit {
			if inside = name == "runtime"; inside {
				continue
			}
		}
		if inside {
			if err := found.add(d, e, name); err != nil {
				return runtimeTypes{}, fmt.Errorf("%s: %w", name, err)
			}
		}
		r.SkipChildren()
	}
	return found, found.missing()
}

// missing says what has not been found.
func (t runtimeTypes) missing() error {
	for _, name := range wantedStructs {
		if t.structs[name].fields == nil {
			return fmt.Errorf("no %s in DWARF", name)
		}
	}
	if len(t.status) < 6 {
		return errors.New("no goroutine statuses in DWARF")
	}
	return nil
}

// add takes in a child of a compilation unit.
func (t runtimeTypes) add(d *dwarf.Data, e *dwarf.Entry, name string) (err error) {
	switch {
	case e.Tag == dwarf.TagConstant:
		addStatus(t.status, name, e)
	case e.Tag == dwarf.TagStructType && slices.Contains(wantedStructs, name):
		t.structs[name], err = readStruct(d, e)
	}
	return err
}

// addStatus takes in a constant of package runtime if it is a goroutine status.
func addStatus(status map[string]uint8, name string, e *dwarf.Entry) {
	value, isInt := e.Val(dwarf.AttrConstValue).(int64)
	if s, ok := strings.CutPrefix(name, "runtime._G"); ok && isInt && value >= 0 && value < 16 && isStatus(s) {
		status["G"+s] = uint8(value)
	}
}

// isStatus tells the goroutine statuses from other constants of package runtime that begin with _G.
func isStatus(name string) bool {
	return name != "" && name[0] >= 'a' && name[0] <= 'z' && !strings.HasPrefix(name, "scan") && name != "oidCacheBatch"
}

// readStruct reads where the fields of a structure are, and those of structures in it. It does not use dwarf.Data.Type, which follows
// types of types as deep as a file claims that they are.
func readStruct(d *dwarf.Data, e *dwarf.Entry) (structure, error) {
	size, ok := offsetIn(e, dwarf.AttrByteSize)
	if !ok {
		return structure{}, errors.New("no size in DWARF")
	}
	s := structure{size: size, fields: Offsets{}}
	err := eachField(d, e.Offset, func(name string, offset uint16, fieldType dwarf.Offset) error {
		s.fields[name] = offset
		nested := structBehind(d, fieldType)
		if nested == nil {
			return nil
		}
		return eachField(d, nested.Offset, func(inner string, innerOffset uint16, _ dwarf.Offset) error {
			s.fields[name+"."+inner] = offset + innerOffset
			return nil
		})
	})
	return s, err
}

// offsetIn returns a value of an entry that tells a distance or a size.
func offsetIn(e *dwarf.Entry, attribute dwarf.Attr) (uint16, bool) {
	v, ok := e.Val(attribute).(int64)
	return uint16(v), ok && v >= 0 && v <= math.MaxUint16
}

// eachField calls visit with each field of the structure at an offset.
func eachField(d *dwarf.Data, at dwarf.Offset, visit func(name string, offset uint16, fieldType dwarf.Offset) error) error {
	r := d.Reader()
	r.Seek(at)
	if _, err := r.Next(); err != nil {
		return err
	}
	for {
		e, err := r.Next()
		if err != nil {
			return err
		}
		if e == nil || e.Tag != dwarf.TagMember {
			return nil
		}
		name, _ := e.Val(dwarf.AttrName).(string)
		fieldType, hasType := e.Val(dwarf.AttrType).(dwarf.Offset)
		if offset, ok := offsetIn(e, dwarf.AttrDataMemberLoc); ok && hasType {
			if err := visit(name, offset, fieldType); err != nil {
				return err
			}
		}
		r.SkipChildren()
	}
}

// structBehind returns the structure that a type is, by a name or two, nil if it is none, or stands behind what was read.
func structBehind(d *dwarf.Data, at dwarf.Offset) *dwarf.Entry {
	const names = 2
	for range names + 1 {
		r := d.Reader()
		r.Seek(at)
		e, err := r.Next()
		if err != nil || e == nil {
			return nil
		}
		if e.Tag == dwarf.TagStructType {
			return e
		}
		next, ok := e.Val(dwarf.AttrType).(dwarf.Offset)
		if !ok || e.Tag != dwarf.TagTypedef {
			return nil
		}
		at = next
	}
	return nil
}
