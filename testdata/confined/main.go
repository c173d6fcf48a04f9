// Program confined does some work under restrictions, and ends with an error if a result is wrong. After that it does it again for each line
// on the standard input.
//
//	confined seccomp   a filter ends the process at memfd_create
//	confined mdwe      no memory may be made executable that was writable
//	confined exec N MS it executes itself so often, each time after so many milliseconds of work
//	confined full      all addresses below the program are taken
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

func main() {
	fmt.Println("ready")
	switch os.Args[1] {
	case "seccomp":
		exitOn("seccomp", filter())
	case "mdwe":
		const setMDWE, refuseExecGain = 65, 1
		_, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, setMDWE, refuseExecGain, 0, 0, 0, 0)
		exitOn("prctl", errno)
	case "exec":
		execute()
		return
	case "full":
		fill()
	}
	work(10 * time.Millisecond)
	fmt.Println("ok")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		work(10 * time.Millisecond)
		fmt.Println("ok")
	}
}

// filter has the kernel end the process at memfd_create (seccomp(2)).
func filter() syscall.Errno {
	const (
		loadNumber, jumpIfEqual, giveBack = 0x20, 0x15, 0x06
		memfdCreate                       = 319
		allow, kill                       = 0x7fff0000, 0x80000000
		noNewPrivileges                   = 38
		seccomp, setFilter, allThreads    = 317, 1, 1
	)
	type instruction struct {
		code        uint16
		then, other uint8
		k           uint32
	}
	program := []instruction{{loadNumber, 0, 0, 0}, {jumpIfEqual, 0, 1, memfdCreate}, {giveBack, 0, 0, kill}, {giveBack, 0, 0, allow}}
	of := struct {
		count uint16
		first *instruction
	}{uint16(len(program)), &program[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	syscall.RawSyscall6(syscall.SYS_PRCTL, noNewPrivileges, 1, 0, 0, 0, 0)
	_, _, errno := syscall.RawSyscall(seccomp, setFilter, allThreads, uintptr(unsafe.Pointer(&of)))
	return errno
}

// execute executes the program again, one time less.
func execute() {
	n, err := strconv.Atoi(os.Args[2])
	ms, errMs := strconv.Atoi(os.Args[3])
	work(time.Duration(ms) * time.Millisecond)
	if err == nil && errMs == nil && n > 0 {
		err = syscall.Exec("/proc/self/exe", []string{os.Args[0], "exec", strconv.Itoa(n - 1), os.Args[3]}, os.Environ())
	}
	if err != nil {
		fmt.Println("exec", err)
		os.Exit(1)
	}
	fmt.Println("ok")
}

// fill takes all addresses from the lowest to where the program begins.
func fill() {
	const lowest, program, noReserve, fixedNoReplace = 0x10000, 0x400000, 0x4000, 0x100000
	_, _, errno := syscall.Syscall6(syscall.SYS_MMAP, lowest, program-lowest, syscall.PROT_NONE,
		syscall.MAP_PRIVATE|syscall.MAP_ANON|noReserve|fixedNoReplace, ^uintptr(0), 0)
	exitOn("mmap", errno)
}

func work(d time.Duration) {
	numbers, sum := make(chan int), make(chan int)
	go func() {
		s := 0
		for x := range numbers {
			s += x
		}
		sum <- s
	}()
	n := 0
	for end := time.Now().Add(d); time.Now().Before(end); n++ {
		numbers <- 1
		os.Getppid()
	}
	close(numbers)
	if s := <-sum; s != n {
		fmt.Println("WRONG", s, n)
		os.Exit(3)
	}
}

func exitOn(what string, errno syscall.Errno) {
	if errno != 0 {
		fmt.Println(what, errno)
		os.Exit(1)
	}
}
