// Program withheld has memory that keeps whoever reads it waiting (userfaultfd(2)). It takes a step for each line on its standard input, and writes
// what it has done.
//
//	withheld labels   the profiler labels of its goroutines are there: some live and end, at each step
//	withheld code     it has code at the address that it writes, which is withheld from the first step on, and given back by the third
package main

import (
	"bufio"
	"fmt"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

const pageSize = 4096

func main() {
	steps := bufio.NewScanner(os.Stdin)
	if os.Args[1] == "labels" {
		labels(steps)
		return
	}
	code(steps)
}

// Numbers of Linux on amd64 that package syscall lacks.
const (
	memfdCreate  = 319
	fallocate    = 285
	userfaultfd  = 323
	keepAndPunch = 3
)

// withhold keeps what is read of a page waiting, if nothing is in it, until its result is called.
func withhold(page uintptr) (release func()) {
	const (
		api      = 0xaa
		ioAPI    = 0xc018aa3f
		register = 0xc020aa00
		missing  = 1
	)
	fd := call(userfaultfd, syscall.O_CLOEXEC|syscall.O_NONBLOCK)
	control := func(request uintptr, argument []uint64) {
		call(syscall.SYS_IOCTL, fd, request, uintptr(unsafe.Pointer(&argument[0])))
	}
	control(ioAPI, []uint64{api, 0, 0})
	control(register, []uint64{uint64(page), pageSize, missing, 0})
	return func() { call(syscall.SYS_CLOSE, fd) }
}

func call(number uintptr, arguments ...uintptr) uintptr {
	arguments = append(arguments, make([]uintptr, 6-len(arguments))...)
	result, _, errno := syscall.Syscall6(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5])
	if errno != 0 {
		panic(fmt.Sprintf("system call %d: %v", number, errno))
	}
	return result
}

func mapped(at uintptr, size, protection, flags int, fd uintptr) uintptr {
	return call(syscall.SYS_MMAP, at, uintptr(size), uintptr(protection), uintptr(flags), fd, 0)
}

//go:linkname setLabels runtime/pprof.runtime_setProfLabel
func setLabels(labels unsafe.Pointer)

func labels(steps *bufio.Scanner) {
	page := mapped(0, pageSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON, ^uintptr(0))
	withhold(page)
	fmt.Println("ready")
	for steps.Scan() {
		var all sync.WaitGroup
		for i := 0; i < 100; i++ {
			all.Add(1)
			go func() {
				defer all.Done()
				setLabels(*(*unsafe.Pointer)(unsafe.Pointer(&page)))
				turn := make(chan bool)
				go func() { turn <- true }()
				<-turn
			}()
		}
		all.Wait()
		fmt.Println("done")
	}
}

// code makes a file that looks like an executable, with nops in its second page, of which the pages can be taken away.
func code(steps *bufio.Scanner) {
	const at, size = 0x20000000, 2 * pageSize
	name := [...]byte{'c', 0}
	fd := call(memfdCreate, uintptr(unsafe.Pointer(&name)), 0)
	content := make([]byte, size)
	copy(content, "\x7fELF\x02\x01")
	for i := pageSize; i < size; i++ {
		content[i] = 0x90
	}
	call(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&content[0])), size)
	page := mapped(at, size, syscall.PROT_READ|syscall.PROT_EXEC, syscall.MAP_PRIVATE|syscall.MAP_FIXED, fd) + pageSize
	fmt.Printf("%#x\n", page)
	steps.Scan()
	call(fallocate, fd, keepAndPunch, pageSize, pageSize)
	call(syscall.SYS_MADVISE, page, pageSize, syscall.MADV_DONTNEED)
	release := withhold(page)
	fmt.Println("withheld")
	steps.Scan()
	fmt.Println("alive")
	steps.Scan()
	release()
	fmt.Println("released")
	steps.Scan()
}
