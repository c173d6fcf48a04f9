// Program withheld has memory that may keep whoever reads it waiting. It takes a step for each line on its standard input, and writes what it has done.
//
//	withheld labels      the profiler labels of its goroutines are of a userfaultfd(2): some live and end, at each step
//	withheld code FILE   it has the file's second page as code, at the address that it writes, and has the kernel forget it at the first step
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

// withhold keeps what is read of a page waiting, if nothing is in it.
func withhold(page uintptr) {
	const (
		userfaultfd = 323 // of Linux on amd64
		api         = 0xaa
		ioAPI       = 0xc018aa3f
		register    = 0xc020aa00
		missing     = 1
	)
	fd := call(userfaultfd, syscall.O_CLOEXEC|syscall.O_NONBLOCK)
	control := func(request uintptr, argument []uint64) {
		call(syscall.SYS_IOCTL, fd, request, uintptr(unsafe.Pointer(&argument[0])))
	}
	control(ioAPI, []uint64{api, 0, 0})
	control(register, []uint64{uint64(page), pageSize, missing, 0})
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

// code maps a file that looks like an executable, with code in its second page, which it takes out of the memory again.
func code(steps *bufio.Scanner) {
	const at, size, forget = 0x20000000, 2 * pageSize, 4 // POSIX_FADV_DONTNEED
	file, err := os.Open(os.Args[2])
	if err != nil {
		panic(err)
	}
	page := mapped(at, size, syscall.PROT_READ|syscall.PROT_EXEC, syscall.MAP_PRIVATE|syscall.MAP_FIXED, file.Fd()) + pageSize
	fmt.Printf("%#x\n", page)
	steps.Scan()
	call(syscall.SYS_MADVISE, page, pageSize, syscall.MADV_DONTNEED)
	call(syscall.SYS_FADVISE64, file.Fd(), 0, size, forget)
	fmt.Println("forgotten")
	for steps.Scan() {
		fmt.Println("alive")
	}
}
