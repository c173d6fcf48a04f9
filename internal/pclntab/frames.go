package pclntab

// Numbers of the tables that a function's record points at (internal/abi/symtab.go).
const (
	pcdataInlineIndex = 2
	funcdataInline    = 3
	funcdataWrapInfo  = 7
)

// Frame is one source-level call; a machine-level frame holds several where functions were inlined.
type Frame struct {
	// Function is the linker symbol name, File an absolute or -trimpath path, Line is 0 if not known.
	Function string
	File     string
	Line     int
}

// maxInlined bounds how deep inlined calls may nest.
const maxInlined = 64

// Frames returns the source-level calls at pc, innermost first; none if pc is in no function.
func (t *Table) Frames(pc uint64) []Frame {
	f, ok := t.Find(pc)
	if !ok {
		return nil
	}
	var frames []Frame
	steps := maxSteps
	for range maxInlined {
		call, parent, ok := f.inlined(pc, &steps)
		file, line := f.line(pc, &steps)
		if !ok {
			return append(frames, Frame{Function: f.Name(), File: file, Line: line})
		}
		frames = append(frames, Frame{Function: call, File: file, Line: line})
		if parent < f.Entry || parent >= f.End {
			return frames
		}
		pc = parent
	}
	return frames
}

// inlined returns the name of the innermost call that was inlined at pc, and where in f that call stands.
func (f Func) inlined(pc uint64, steps *int) (name string, parent uint64, ok bool) {
	t := f.table
	index, ok := t.valueAt(f.inlineIndex(), f.Entry, pc, steps)
	if !ok || index < 0 {
		return "", 0, false
	}
	tree, ok := f.funcdata(funcdataInline)
	if !ok {
		return "", 0, false
	}
	at := int(index) * t.inlined
	nameOffset, ok1 := u32(tree, at+t.inlinedName)
	parentOffset, ok2 := u32(tree, at+t.inlinedParent)
	if !ok1 || !ok2 {
		return "", 0, false
	}
	return t.texts.at(t.names, nameOffset), f.Entry + uint64(parentOffset), true
}

// inlineIndex returns where the sequence is that tells which call was inlined, 0 if none was.
func (f Func) inlineIndex() uint32 {
	if f.field(recordPCData) <= pcdataInlineIndex {
		return 0
	}
	offset, _ := u32(f.record, f.table.recordSize+4*pcdataInlineIndex)
	return offset
}

// funcdata returns the memory from the start of one of the function's tables on (runtime.funcdata in runtime/symtab.go).
func (f Func) funcdata(i int) ([]byte, bool) {
	t := f.table
	count := int(f.record[t.recordSize-1])
	pcdata := f.field(recordPCData)
	if i >= count || pcdata > 64 {
		return nil, false
	}
	at := t.recordSize + 4*int(pcdata)
	if t.absolute {
		const pointer = 8
		address, ok := u64(f.record, (at+pointer-1)&^(pointer-1)+pointer*i)
		if !ok || address == 0 {
			return nil, false
		}
		data := t.memory(address)
		return data, data != nil
	}
	offset, ok := u32(f.record, at+4*i)
	if !ok || uint64(offset) >= uint64(len(t.gofunc)) {
		return nil, false
	}
	return t.gofunc[offset:], true
}

// Wrapped returns the function that the wrapper f, made by the compiler for a go statement, calls: what a person wrote behind
// "go" (cmd/compile/internal/walk, wrapGoDefer; runtime.startPCForTrace in runtime/trace.go reads the same). Go 1.17 does not tell.
func (f Func) Wrapped() (Func, bool) {
	info, ok := f.funcdata(funcdataWrapInfo)
	if !ok {
		return Func{}, false
	}
	offset, ok := u32(info, 0)
	if !ok {
		return Func{}, false
	}
	return f.table.Find(f.table.text + uint64(offset))
}
