// Program blocked has a thread in each kind of blocking system call for some time, and writes for each what it returned that it should not
// have, or that all is well: "NAME ok" or "NAME RESULT ERRNO DURATION".
//
//	blocked MILLISECONDS
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// call is a system call that returns when the time is over, and what it must return then.
type call struct {
	number    uintptr
	arguments [5]uintptr
	result    uintptr
	errno     syscall.Errno
}

func main() {
	ms, err := strconv.Atoi(os.Args[1])
	exitOn(err)
	d := time.Duration(ms) * time.Millisecond
	var pipe [2]int
	exitOn(syscall.Pipe(pipe[:]))
	var all sync.WaitGroup
	began := time.Now()
	for name, c := range calls(d, pipe[0]) {
		all.Add(1)
		go func(name string, c call) {
			defer all.Done()
			report(name, c, began, d)
		}(name, c)
	}
	fmt.Println("ready")
	time.Sleep(d - time.Since(began))
	_, err = syscall.Write(pipe[1], []byte{1})
	exitOn(err)
	all.Wait()
	fmt.Println("end")
}

func calls(d time.Duration, pipe int) map[string]call {
	const clockMonotonic = 1
	ms := uintptr(d / time.Millisecond)
	poll, err := syscall.EpollCreate1(0)
	exitOn(err)
	ts := func() uintptr {
		t := syscall.NsecToTimespec(int64(d))
		return uintptr(unsafe.Pointer(keep(&t)))
	}
	tv := syscall.NsecToTimeval(int64(d))
	word, byte1, event := new(uint32), new([8]byte), new(syscall.EpollEvent)
	kept = append(kept, word, byte1, event, &tv)
	return map[string]call{
		"nanosleep":       {number: syscall.SYS_NANOSLEEP, arguments: [5]uintptr{ts()}},
		"clock_nanosleep": {number: syscall.SYS_CLOCK_NANOSLEEP, arguments: [5]uintptr{clockMonotonic, 0, ts()}},
		"futex":           {number: syscall.SYS_FUTEX, arguments: [5]uintptr{uintptr(unsafe.Pointer(word)), 0, 0, ts()}, errno: syscall.ETIMEDOUT},
		"poll":            {number: syscall.SYS_POLL, arguments: [5]uintptr{0, 0, ms}},
		"ppoll":           {number: syscall.SYS_PPOLL, arguments: [5]uintptr{0, 0, ts()}},
		"select":          {number: syscall.SYS_SELECT, arguments: [5]uintptr{0, 0, 0, 0, uintptr(unsafe.Pointer(&tv))}},
		"epoll_wait":      {number: syscall.SYS_EPOLL_WAIT, arguments: [5]uintptr{uintptr(poll), uintptr(unsafe.Pointer(event)), 1, ms}},
		"read":            {number: syscall.SYS_READ, arguments: [5]uintptr{uintptr(pipe), uintptr(unsafe.Pointer(byte1)), 1}, result: 1},
	}
}

// kept is what the kernel has the addresses of.
var kept []interface{}

func keep(t *syscall.Timespec) *syscall.Timespec {
	kept = append(kept, t)
	return t
}

func report(name string, c call, began time.Time, d time.Duration) {
	const inaccurate, late = 20 * time.Millisecond, 5 * time.Second
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	a := c.arguments
	result, _, errno := syscall.Syscall6(c.number, a[0], a[1], a[2], a[3], a[4], 0)
	took := time.Since(began)
	if errno == c.errno && (errno != 0 || result == c.result) && took > d-inaccurate && took < d+late {
		fmt.Println(name, "ok")
		return
	}
	fmt.Println(name, int(result), int(errno), took)
}

func exitOn(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
