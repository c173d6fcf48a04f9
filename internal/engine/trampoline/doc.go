// Package trampoline is the engine that follows goroutines without the kernel: from outside, a jump is put into the process's code at each
// place where a goroutine's status changes, to a trampoline that appends a record to memory which the process shares with this one. What it
// is made of: goexe.Patches finds the places, package code makes the trampolines, package inject puts them into a process and takes them away, package
// ring holds and orders the records, and this package makes events, counts and distributions of them.
package trampoline
