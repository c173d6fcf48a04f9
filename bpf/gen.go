// Package bpf holds the kernel side: BPF programs in C, and the objects and Go types that bpf2go makes of them.
package bpf

//go:generate go tool -modfile=../tools/go.mod bpf2go -cc clang-19 -strip llvm-strip-19 -no-global-types -target amd64,arm64 -output-stem tracer -go-package bpf -type goroutine -type target -type limit -type start -type event -type creation -type ending -type blocking -type blocking_full -type labelling -type stack_depth -type label_form -type counters -type function -type lives -type bucket_key -type bucket -type distribution -type state -type goroutine_flag -type event_kind -type histogram_kind Tracer goroutine.bpf.c -- -O2 -g -Wall -Werror -mcpu=v3 -I/usr/include/x86_64-linux-gnu
