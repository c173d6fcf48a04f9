package engine

import "slices"

// CreatorStack returns the part of a creator's stack that begins with its go statement, which returns to creationPC; what is above is the
// runtime's. A stack without the statement is another, of which nothing is returned. Return addresses are innermost first.
func CreatorStack(stack []uint64, creationPC uint64) []uint64 {
	if at := slices.Index(stack, creationPC); at >= 0 {
		return stack[at:]
	}
	return nil
}
