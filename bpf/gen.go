// Package bpf holds the kernel side: BPF programs in C, and the objects and Go types that bpf2go makes of them.
package bpf

// The types that both sides share are listed in bpf2go.flags, one a line, which the shell puts in for go generate.
//
//go:generate sh -c "go tool -modfile=../tools/go.mod bpf2go $(cat bpf2go.flags) Tracer goroutine.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I/usr/include/x86_64-linux-gnu"
