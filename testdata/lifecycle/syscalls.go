package main

import "syscall"

func syscalls() {
	defer group.Done()
	var p [2]int
	check(syscall.Pipe(p[:]))
	b := []byte{1}
	for i := 0; i < 10; i++ {
		_, err := syscall.Write(p[1], b)
		check(err)
		_, err = syscall.Read(p[0], b)
		check(err)
	}
	// Blocking system calls, from which the processor is taken away.
	for i := 0; i < 5; i++ {
		ts := syscall.NsecToTimespec(10e6)
		syscall.Nanosleep(&ts, nil)
	}
	syscall.Close(p[0])
	syscall.Close(p[1])
}
