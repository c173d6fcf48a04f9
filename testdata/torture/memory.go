package main

import (
	"bytes"
	"math/rand"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"time"
)

func init() {
	add("collect", collect)
	add("stacks", stacks)
	add("dumps", dumps)
	add("spin", spin)
}

type node struct {
	left, right *node
	value       uint64
	padding     []byte
}

func tree(depth int, value uint64) *node {
	if depth == 0 {
		return nil
	}
	return &node{tree(depth-1, 2*value), tree(depth-1, 2*value+1), value, make([]byte, value%97)}
}

func (t *node) sum() uint64 {
	if t == nil {
		return 0
	}
	return t.value + uint64(len(t.padding)) + t.left.sum() + t.right.sum()
}

// collect makes garbage, and collects it at odd times.
func collect() {
	const depth = 12
	sums := make(chan uint64)
	for i := 0; i < 3; i++ {
		go func() {
			t := tree(depth, 1)
			runtime.Gosched()
			sums <- t.sum()
		}()
	}
	if a, b, c := <-sums, <-sums, <-sums; a != b || b != c {
		wrong("collect %d %d %d", a, b, c)
	}
	switch rand.Intn(50) {
	case 0, 1:
		runtime.GC()
	case 2:
		debug.FreeOSMemory()
	}
}

// stacks grows a stack, and blocks at its end.
func stacks() {
	const deepest = 400
	depth := 1 + rand.Intn(deepest)
	reached, sum := make(chan int), make(chan uint32)
	go func() { sum <- deep(depth, reached) }()
	<-reached
	reached <- 1
	want := uint32(0)
	for d := 0; d <= depth; d++ {
		for i := 0; i < words; i++ {
			want += uint32(d*words + i)
		}
	}
	if got := <-sum; got != want {
		wrong("stacks %d %d", got, want)
	}
}

// words is how many words of a stack each call fills.
const words = 64

//go:noinline
func deep(depth int, reached chan int) (sum uint32) {
	var a [words]uint32
	for i := range a {
		a[i] = uint32(depth*words + i)
	}
	if depth%16 == 0 {
		runtime.Gosched()
	}
	if depth > 0 {
		sum = deep(depth-1, reached)
	} else {
		reached <- 1
		<-reached
	}
	for i, x := range a {
		if x != uint32(depth*words+i) {
			wrong("deep %d", depth)
		}
		sum += x
	}
	return sum
}

// dumps stops the world to write all stacks.
func dumps() {
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 2); err != nil || !bytes.Contains(b.Bytes(), []byte("main.")) {
		wrong("dumps %v", err)
	}
	time.Sleep(10 * time.Millisecond)
}

var spun uint64

// spin is long enough without a call to be preempted by signals.
func spin() {
	const times, factor, summand = 3000000, 6364136223846793005, 1442695040888963407
	x := uint64(1)
	for i := 0; i < times; i++ {
		x = x*factor + summand
	}
	if spun != 0 && x != spun {
		wrong("spin %d %d", x, spun)
	}
	spun = x
}
