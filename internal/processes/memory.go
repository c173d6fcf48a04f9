//go:build linux

package processes

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ReadMemory reads pieces of a process's memory into a buffer that has just room for them, one after the other. It waits for as long as the memory
// does not answer.
func ReadMemory(pid int, pieces []unix.RemoteIovec, buffer []byte) error {
	local := []unix.Iovec{{Base: &buffer[0]}}
	local[0].SetLen(len(buffer))
	n, err := unix.ProcessVMReadv(pid, local, pieces, 0)
	if errors.Is(err, unix.ESRCH) { // so it is also if only the first thread has exited
		if thread, threadErr := Thread(pid); threadErr == nil {
			n, err = unix.ProcessVMReadv(thread, local, pieces, 0)
		}
	}
	if err != nil {
		return fmt.Errorf("read memory of process %d: %w", pid, err)
	}
	if n != len(buffer) {
		return fmt.Errorf("read memory of process %d: %d of %d bytes", pid, n, len(buffer))
	}
	return nil
}
