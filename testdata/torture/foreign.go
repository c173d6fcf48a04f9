//go:build cgo
// +build cgo

package main

/*
#include <pthread.h>
#include <stdint.h>

extern uint64_t called_back(uint64_t);

static uint64_t compute(uint64_t x)
{
	for (int i = 0; i < 200; i++)
		x = x * 31 + i;
	return x;
}

static uint64_t call_back(uint64_t x)
{
	return called_back(x) + 1;
}

static void *in_thread(void *x)
{
	for (int i = 0; i < 20; i++)
		*(uint64_t *)x = called_back(*(uint64_t *)x);
	return 0;
}

static uint64_t call_back_from_thread(uint64_t x)
{
	pthread_t thread;

	pthread_create(&thread, 0, in_thread, &x);
	pthread_join(thread, 0);
	return x;
}
*/
import "C"

import (
	"math/rand"
	"runtime"
)

func init() { add("foreign", foreign) }

//export called_back
func called_back(x C.uint64_t) C.uint64_t {
	if x%7 == 0 {
		runtime.Gosched()
	}
	return x + 3
}

// foreign calls C, which calls Go, also from threads that Go did not make.
func foreign() {
	x := uint64(rand.Intn(1 << 30))
	want := x
	for i := uint64(0); i < 200; i++ {
		want = want*31 + i
	}
	if got := uint64(C.compute(C.uint64_t(x))); got != want {
		wrong("compute %d %d", got, want)
	}
	if got := uint64(C.call_back(C.uint64_t(x))); got != x+4 {
		wrong("call back %d %d", got, x+4)
	}
	if got := uint64(C.call_back_from_thread(C.uint64_t(x))); got != x+60 {
		wrong("call back from thread %d %d", got, x+60)
	}
}
