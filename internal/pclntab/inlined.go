package pclntab

import "fmt"

// maxInlinedSteps bounds how many steps through sequences a search for inlined calls takes: in a program of 40 MB it takes 300 000.
const maxInlinedSteps = 1 << 23

// FindInlined returns the name of a function that holds an inlined copy of one whose name is wanted, "" if none does. The error says that
// the table does not tell.
func (t *Table) FindInlined(wanted func(name []byte) bool) (string, error) {
	steps := maxInlinedSteps
	for i := range t.nfunc {
		f, ok := t.Func(i)
		if !ok {
			return "", fmt.Errorf("%w: function %d", ErrFormat, i)
		}
		if holds, err := f.inlines(wanted, &steps); err != nil {
			return "", err
		} else if holds {
			return f.Name(), nil
		}
	}
	return "", nil
}

// inlines tells whether the function holds an inlined copy of one whose name is wanted.
func (f Func) inlines(wanted func(name []byte) bool, steps *int) (bool, error) {
	t := f.table
	offset := f.inlineIndex()
	if offset == 0 {
		return false, nil
	}
	tree, _ := f.funcdata(funcdataInline)
	s := t.sequence(offset, f.Entry)
	for s.next(steps) {
		if s.value < 0 {
			continue
		}
		name, ok := u32(tree, int(s.value)*t.inlined+t.inlinedName)
		if !ok || uint64(name) >= uint64(len(t.names)) {
			return false, fmt.Errorf("%w: what %s inlines", ErrFormat, f.Name())
		}
		if wanted(textIn(t.names[name:])) {
			return true, nil
		}
	}
	if *steps <= 0 {
		return false, fmt.Errorf("%w: more inlined calls than any program has", ErrFormat)
	}
	return false, nil
}
