// Package bpf holds BPF programs that the product is compared with.
package bpf

//go:generate go tool -modfile=../../../tools/go.mod bpf2go -cc clang-19 -strip llvm-strip-19 -target amd64,arm64 -output-stem uprobes -go-package bpf Uprobes uprobes.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I/usr/include/x86_64-linux-gnu
