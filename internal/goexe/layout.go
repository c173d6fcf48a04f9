package goexe

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"go/version"
	"strings"
	"sync"
)

//go:generate go run ./genlayouts -out layouts.json

//go:embed layouts.json
var layoutsJSON []byte

// Layout is where one release of Go keeps what a tracer reads, as found in the DWARF of a program that it built. All offsets
// are in bytes. It is the same on amd64 and arm64, and for every build mode and GOEXPERIMENT.
type Layout struct {
	// GoVersion is the release that was measured, such as "go1.26.8".
	GoVersion string `json:"go_version"`
	// G is runtime.g (runtime/runtime2.go).
	G GLayout `json:"g"`
	// M is runtime.m (runtime/runtime2.go).
	M MLayout `json:"m"`
	// Moduledata is runtime.moduledata (runtime/symtab.go).
	Moduledata ModuledataLayout `json:"moduledata"`
	// Sudog is runtime.sudog (runtime/runtime2.go), which says what a goroutine waits for.
	Sudog SudogLayout `json:"sudog"`
	// Hchan is runtime.hchan (runtime/chan.go), a channel.
	Hchan HchanLayout `json:"hchan"`
	// Status holds the values of the constants _Gidle, _Grunnable… (runtime/runtime2.go) by their names without the underscore.
	Status map[string]uint8 `json:"status"`
	// WaitReasons is runtime.waitReasonStrings (runtime/runtime2.go): the text for each value of g.waitreason.
	WaitReasons []string `json:"wait_reasons"`
}

// GLayout holds offsets of fields of runtime.g.
//
// Its first field is stack, with lo and hi, the bounds of the goroutine's stack: at 0 and 8 in all releases, which NewLayout checks.
type GLayout struct {
	Goid         uint16 `json:"goid"`
	AtomicStatus uint16 `json:"atomicstatus"`
	WaitSince    uint16 `json:"waitsince"`
	WaitReason   uint16 `json:"waitreason"`
	// ParentGoid is 0 before Go 1.21, which does not store it.
	ParentGoid uint16 `json:"parent_goid,omitempty"`
	GoPC       uint16 `json:"gopc"`
	StartPC    uint16 `json:"startpc"`
	Labels     uint16 `json:"labels"`
	Waiting    uint16 `json:"waiting"`
	Param      uint16 `json:"param"`
	M          uint16 `json:"m"`
	SchedSP    uint16 `json:"sched_sp"`
	SchedPC    uint16 `json:"sched_pc"`
	SchedBP    uint16 `json:"sched_bp"`
	Size       uint16 `json:"size"`
}

// MLayout holds offsets of fields of runtime.m.
type MLayout struct {
	Curg uint16 `json:"curg"`
	// Procid is where m.procid is, an uint64: the kernel's id of the thread (gettid), in the process's own PID namespace; 0 until
	// the thread has stored it (runtime.minit in runtime/os_linux.go).
	Procid uint16 `json:"procid"`
}

// SudogLayout holds offsets in runtime.sudog: of the address of the channel, and of the next sudog of the same goroutine.
type SudogLayout struct {
	C        uint16 `json:"c"`
	WaitLink uint16 `json:"waitlink"`
}

// HchanLayout holds offsets in runtime.hchan: of how many items its buffer can hold, of the indexes in it to which the next item is sent and from
// which the next is received, and of its lock.
type HchanLayout struct {
	DataQSiz uint16 `json:"dataqsiz"`
	SendX    uint16 `json:"sendx"`
	RecvX    uint16 `json:"recvx"`
	Lock     uint16 `json:"lock"`
}

// ModuledataLayout holds offsets of fields of runtime.moduledata; GoFunc is 0 before Go 1.18.
type ModuledataLayout struct {
	Text   uint16 `json:"text"`
	GoFunc uint16 `json:"gofunc,omitempty"`
}

var layouts = sync.OnceValue(func() []Layout {
	var ls []Layout
	if err := json.Unmarshal(layoutsJSON, &ls); err != nil {
		panic(fmt.Sprintf("goexe: embedded layouts.json: %v", err)) // the package's own file
	}
	return ls
})

// release cuts a runtime.Version string such as "go1.26.8-X:nogreenteagc", "go1.22.12 X:noexectracer2" or "devel go1.27-0f93ed7d3c" to
// what go/version understands.
func release(goVersion string) string {
	v, _, _ := strings.Cut(strings.TrimPrefix(goVersion, "devel "), " ")
	v, _, _ = strings.Cut(v, "-")
	v, _, _ = strings.Cut(v, "+")
	return v
}

// errUnknownVersion is wrapped by errors about releases that are not in the table.
var errUnknownVersion = errors.New("unknown Go version")

// layoutFor returns the layout of a Go version: that of the nearest measured patch release of the same minor release, an
// older one if there is one. Patch releases have never moved a field that Layout names.
func layoutFor(goVersion string) (*Layout, error) {
	v := release(goVersion)
	if !version.IsValid(v) {
		return nil, fmt.Errorf("not a release of Go: %q", goVersion)
	}
	var best *Layout
	ls := layouts()
	for i := range ls {
		l := &ls[i]
		if version.Lang(l.GoVersion) != version.Lang(v) {
			continue
		}
		if best == nil || version.Compare(l.GoVersion, v) <= 0 {
			best = l
		}
	}
	if best == nil {
		return nil, fmt.Errorf("%w %s: only %s to %s are known", errUnknownVersion, v, ls[0].GoVersion, ls[len(ls)-1].GoVersion)
	}
	return best, nil
}
