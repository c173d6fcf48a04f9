package main

import (
	"debug/dwarf"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/otelgoroutine/goroutinereceiver/internal/goexe"
)

const program = "package main\n\nfunc main() {}\n"

// measure builds a program with a release of Go and reads the layout from its DWARF and its data.
func measure(release string) (*goexe.Layout, error) {
	dir, err := os.MkdirTemp("", "genlayouts")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o644); err != nil {
		return nil, err
	}
	exe := filepath.Join(dir, "program")
	cmd := exec.Command("go", "build", "-o", exe, "main.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+release, "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	f, err := elf.Open(exe)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return fromDWARF(release, f)
}

func fromDWARF(release string, f *elf.File) (*goexe.Layout, error) {
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
			if _, wanted := structs[name]; wanted {
				t, err := d.Type(e.Offset)
				if err != nil {
					return nil, err
				}
				structs[name] = t.(*dwarf.StructType)
			}
		case dwarf.TagConstant:
			value, isInt := e.Val(dwarf.AttrConstValue).(int64)
			if s, ok := strings.CutPrefix(name, "runtime._G"); ok && isInt && value < 16 && isStatus(s) {
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
	reasons, err := goexe.ReadWaitReasons(f)
	if err != nil {
		return nil, err
	}
	g := structs["runtime.g"]
	return build(release, uint16(g.Size()), fieldsOf(g), fieldsOf(structs["runtime.m"]), fieldsOf(structs["runtime.moduledata"]), status, reasons)
}

// isStatus tells the goroutine statuses from other constants of package runtime that begin with _G.
func isStatus(name string) bool {
	return name[0] >= 'a' && name[0] <= 'z' && !strings.HasPrefix(name, "scan") && name != "oidCacheBatch"
}

func fieldsOf(t *dwarf.StructType) offsets {
	o := offsets{}
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
