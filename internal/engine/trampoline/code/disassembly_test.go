package code

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/arch/x86/x86asm"
)

// instruction is one of amd64. RDPID, which package x86asm does not know, has Op 0, and writes its only operand.
type instruction struct {
	x86asm.Inst
	at uint64
}

// rdpidECX is the only form of RDPID that trampolines have.
var rdpidECX = []byte{0xf3, 0x0f, 0xc7, 0xf9}

func disassemble(t *testing.T, code []byte, at uint64) (all []instruction) {
	for len(code) > 0 {
		in := instruction{at: at}
		if bytes.HasPrefix(code, rdpidECX) {
			in.Len = len(rdpidECX)
			in.Args[0] = x86asm.RCX
		} else {
			var err error
			in.Inst, err = x86asm.Decode(code, 64)
			require.NoError(t, err, "%x", code[:min(len(code), 15)])
		}
		all = append(all, in)
		code, at = code[in.Len:], at+uint64(in.Len)
	}
	return all
}

// target is where a jump with a distance goes to.
func (in instruction) target() (uint64, bool) {
	rel, ok := in.Args[0].(x86asm.Rel)
	return in.at + uint64(in.Len) + uint64(int64(rel)), ok
}

func (in instruction) String() string {
	if in.Op == 0 {
		return "rdpid rcx"
	}
	if to, ok := in.target(); ok {
		return fmt.Sprintf("%s %#x", strings.ToLower(in.Op.String()), to)
	}
	return x86asm.IntelSyntax(in.Inst, in.at, nil)
}
