package goexe

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
)

// Instructions of arm64.
const (
	armAddress  = 0x91024005 // add x5, x0, #0x90
	armAddress6 = 0x91024006 // add x6, x0, #0x90
	armCasal    = 0x88fbfca2 // casal w27, w2, [x5]
	armCmp      = 0x6b01037f // cmp w27, w1
	armCset6    = 0x9a9f17e6 // cset x6, eq
	armLdaxr    = 0x885ffcbb // ldaxr w27, [x5]
	armBne      = 0x54000061 // b.ne .+12
	armStlxr    = 0x881bfca2 // stlxr w27, w2, [x5]
	armCbnz     = 0xb5ffff9b // cbnz x27, .-16
	armRet      = 0xd65f03c0
	armStoreX0  = 0xf9002fe0 // str x0, [sp, #88]
	armNop      = 0xd503201f
	armBack     = 0x17ffffff // b .-4
	armCall     = 0x94000000 // bl to itself
)

func armCode(name string, code ...uint32) function {
	f := function{name: name, entry: 0x401000}
	for _, enc := range code {
		f.code = binary.LittleEndian.AppendUint32(f.code, enc)
	}
	return f
}

// TestOddARMSwaps reads compare-and-swaps of a status, also such as no compiler makes.
func TestOddARMSwaps(t *testing.T) {
	for name, c := range map[string]struct {
		code []uint32
		at   []uint64 // of the patches, behind the entry
		want string   // in the error
	}{
		"of newer processors":        {code: []uint32{armAddress, armCasal, armCmp, armCset6, armRet}, at: []uint64{12}},
		"of older processors":        {code: []uint32{armAddress, armLdaxr, armCmp, armBne, armStlxr, armCbnz, armCset6, armRet}, at: []uint64{24}},
		"of something else":          {code: []uint32{armAddress6, armCasal, armCmp, armCset6, armRet}},
		"that nothing asks about":    {code: []uint32{armAddress, armCasal, armCmp, armRet}, want: "no number"},
		"that is not compared":       {code: []uint32{armAddress, armCasal, armNop, armCset6, armRet}, want: "no comparison"},
		"compared with something":    {code: []uint32{armAddress, armCasal, 0x6b01031f, armCset6, armRet}, want: "no comparison"},     // cmp w24, w1
		"set if it failed":           {code: []uint32{armAddress, armCasal, armCmp, 0x9a9f07e6, armRet}, want: "no number"},           // cset x6, ne
		"set if others did":          {code: []uint32{0xb4000083, armAddress, armCasal, armCmp, armCset6, armRet}, want: "no number"}, // cbz x3 to the cset
		"jumped behind":              {code: []uint32{armAddress, armCasal, armCmp, armCset6, armBack, armRet}, want: "no number"},
		"that overwrites the g":      {code: []uint32{armAddress, armCasal, armCmp, 0x9a9f17e5, armRet}, want: "unknown way"}, // cset x5
		"that overwrites the status": {code: []uint32{armAddress, armCasal, armCmp, 0x9a9f17e1, armRet}, want: "unknown way"}, // cset x1
		"to zero":                    {code: []uint32{armAddress, 0x88fbfcbf, armCmp, armCset6, armRet}, want: "unknown way"}, // casal w27, wzr
		"of a loop without a load":   {code: []uint32{armAddress, armNop, armCmp, armBne, armStlxr, armCbnz, armCset6, armRet}, want: "unknown form"},
		"of a loop with an exit":     {code: []uint32{armAddress, armLdaxr, armCmp, 0x54000081, armStlxr, armCbnz, armCset6, armRet}, want: "unknown form"},
		"of a loop that ends":        {code: []uint32{armAddress, armLdaxr, armCmp, armBne, armStlxr, armNop, armCset6, armRet}, want: "unknown form"},
		"of half a loop":             {code: []uint32{armAddress, armStlxr}, want: "unknown form"},
		"at the end":                 {code: []uint32{armAddress, armCasal}, want: "no comparison"},
		"by a call":                  {code: []uint32{0x91024000, armCall, armRet}, want: "-gcflags=all=-l"},                          // add x0, x0, #0x90
		"of this or that":            {code: []uint32{0xb4000040, armAddress, armCasal, armCmp, armCset6, armRet}, want: "not clear"}, // cbz x0 behind the next
	} {
		patches, err := (arm64{}).patches(armCode("runtime.f", c.code...), swapped{atomicstatus: 0x90, function: 0x401004})
		if c.want != "" {
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("a swap %s: %+v, %v, want an error with %q", name, patches, err, c.want)
			}
			continue
		}
		if err != nil || len(patches) != len(c.at) {
			t.Errorf("a swap %s: %+v, %v", name, patches, err)
			continue
		}
		for i, p := range patches {
			if p.Address != 0x401000+c.at[i] || p.G != 5 || p.Old != 1 || p.New != 2 || p.Result != 6 || p.Above != 0x90 {
				t.Errorf("a swap %s: %+v", name, p)
			}
		}
	}
}

// TestOddARMCalls looks for the instruction to replace in beginnings of casgstatus.
func TestOddARMCalls(t *testing.T) {
	const (
		push  = 0xf81b0ffe // str x30, [sp, #-80]!
		frame = 0xf81f83fd // stur x29, [sp, #-8]
		point = 0xd10023fd // sub x29, sp, #8
	)
	for name, c := range map[string]struct {
		code []uint32
		at   int // -1 if it is refused
	}{
		"is ordinary":             {[]uint32{push, frame, point, armStoreX0, armRet}, 12},
		"stores the old status":   {[]uint32{push, frame, point, 0xb90063e1, armRet}, 12},
		"stores something else":   {[]uint32{push, frame, point, 0xf9002fe3, armStoreX0, armRet}, 16}, // str x3
		"checks the stack's size": {[]uint32{0xf9400b90, 0xeb3063ff, 0x54000069, push, frame, point, armStoreX0, armRet}, -1},
		"is entered again":        {[]uint32{push, frame, point, armStoreX0, 0x17fffffc}, -1}, // b to the entry
		"begins with a loop":      {[]uint32{push, frame, point, armStoreX0, armBack}, -1},
		"has moved an argument":   {[]uint32{push, frame, point, 0xaa0303e0, armStoreX0, armRet}, -1}, // mov x0, x3
		"has a call":              {[]uint32{push, frame, point, armCall, armStoreX0, armRet}, -1},
		"is not understood":       {[]uint32{push, frame, point, armCasal, armStoreX0, armRet}, -1},
		"loads":                   {[]uint32{push, frame, point, 0xf9402fe3, armRet}, -1},
		"is empty":                {nil, -1},
	} {
		patches, err := (arm64{}).patches(armCode(casgstatus, c.code...), swapped{atomicstatus: 0x90})
		switch {
		case c.at < 0 && err == nil:
			t.Errorf("if casgstatus %s, the patch is %+v", name, patches)
		case c.at >= 0 && (err != nil || len(patches) != 1 || patches[0].Address != 0x401000+uint64(c.at) || patches[0].Kind != Call):
			t.Errorf("if casgstatus %s, the patch is %+v, %v, want one at +%#x", name, patches, err, c.at)
		}
	}
}

// TestLiveBehind follows what registers hold.
func TestLiveBehind(t *testing.T) {
	for name, c := range map[string]struct {
		code       []uint32
		live, dead uint8 // behind the first instruction
	}{
		"read, and overwritten":        {[]uint32{armNop, 0x8b0200a3, 0xd2800002, armRet}, 5, 19},  // add x3, x5, x2; mov x2, #0
		"overwritten, then read":       {[]uint32{armNop, 0xd2800013, 0x8b020263, armRet}, 2, 19},  // mov x19, #0; add x3, x19, x2
		"overwritten in part":          {[]uint32{armNop, 0xf2a00033, 0x8b020263, armRet}, 19, 20}, // movk x19
		"read by one of two ways":      {[]uint32{armNop, 0xb4000041, 0x8b130063, armRet}, 19, 22}, // cbz x1; add x3, x3, x19
		"read in a loop":               {[]uint32{armNop, armNop, 0x8b130063, 0x17fffffe}, 19, 22}, // b .-8
		"stored":                       {[]uint32{armNop, 0xf90003f3, armRet}, 19, 22},             // str x19, [sp]
		"stored as one of two":         {[]uint32{armNop, 0xa9000bf3, armRet}, 2, 22},              // stp x19, x2, [sp]
		"a pointer":                    {[]uint32{armNop, 0xf9400263, armRet}, 19, 22},             // ldr x3, [x19]
		"an index":                     {[]uint32{armNop, 0xf8736843, armRet}, 19, 22},             // ldr x3, [x2, x19]
		"an argument of a call":        {[]uint32{armNop, armCall, armRet}, 7, 22},                 // what it returns is in R0 to R15
		"an argument of a tail call":   {[]uint32{armNop, 0x14100000}, 22, 40},                     // b far away
		"a result":                     {[]uint32{armNop, armRet}, 15, 19},                         //
		"swapped":                      {[]uint32{armNop, 0x88f7fe62, armRet}, 23, 22},             // casal w23, w2, [x19]
		"used where nobody knows what": {[]uint32{armNop, 0xd61f0060}, 24, 40},                     // br x3
	} {
		live, err := liveBehind(decodeARM(armCode("runtime.f", c.code...)))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if live[0]>>c.live&1 == 0 || c.dead < 32 && live[0]>>c.dead&1 == 1 {
			t.Errorf("%s: live are %#x, want R%d and not R%d", name, live[0], c.live, c.dead)
		}
	}
	// Each jump goes on at the one before it.
	back := []uint32{0x14000000 | 2*maxVisits + 1, 0xd61f0260} // b to the last; br x19
	for range 2 * maxVisits {
		back = append(back, armBack)
	}
	if _, err := liveBehind(decodeARM(armCode("runtime.f", back...))); !errors.Is(err, errComplicated) {
		t.Errorf("code that no compiler makes: %v", err)
	}
}
