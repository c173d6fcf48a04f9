//go:build linux && amd64

package inject

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// slowFile is a file of a file system (fuse(4)) that answers, or lets whoever reads the second page wait.
type slowFile struct {
	path    string
	device  *os.File
	content []byte

	mu       sync.Mutex
	withheld chan struct{} // nil if all is answered
}

// newSlowFile mounts a file with a content of two pages until the end of the test.
func newSlowFile(t *testing.T, content []byte) *slowFile {
	t.Helper()
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	require.NoError(t, err)
	f := &slowFile{path: filepath.Join(t.TempDir(), "slow"), device: os.NewFile(uintptr(fd), "fuse"), content: content}
	require.NoError(t, os.WriteFile(f.path, nil, 0o600))
	options := fmt.Sprintf("fd=%d,rootmode=100444,user_id=0,group_id=0", fd)
	require.NoError(t, unix.Mount("slow", f.path, "fuse", unix.MS_NODEV|unix.MS_NOSUID, options))
	t.Cleanup(func() {
		f.answer()
		require.NoError(t, unix.Unmount(f.path, unix.MNT_DETACH))
		require.NoError(t, f.device.Close())
	})
	go f.serve()
	_, err = os.Stat(f.path) // the kernel asks for its size
	require.NoError(t, err)
	return f
}

// mostWithheld is for how long readers wait at the most: a process that ends while one of its threads waits for an answer of another one can never be
// killed.
const mostWithheld = 2 * time.Minute

// withhold lets whoever reads the second page wait, answer no longer.
func (f *slowFile) withhold() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.withheld = make(chan struct{})
	time.AfterFunc(mostWithheld, f.answer)
}

func (f *slowFile) answer() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.withheld != nil {
		close(f.withheld)
		f.withheld = nil
	}
}

// Requests and sizes of include/uapi/linux/fuse.h.
const (
	fuseForget, fuseGetAttr, fuseOpen, fuseRead, fuseRelease, fuseInit, fuseInterrupt = 2, 3, 14, 15, 18, 26, 36
	fuseHeader                                                                        = 40
)

func (f *slowFile) serve() {
	for {
		request := make([]byte, 1<<17)
		n, err := f.device.Read(request)
		if err != nil {
			return
		}
		go f.handle(request[:n])
	}
}

func (f *slowFile) handle(request []byte) {
	le := binary.LittleEndian
	var words []uint32
	switch le.Uint32(request[4:]) {
	case fuseForget, fuseInterrupt:
		return
	case fuseInit:
		words = make([]uint32, 16)
		words[0], words[1] = 7, 31
	case fuseGetAttr:
		words = make([]uint32, 26)
		words[4], words[6] = 1, uint32(len(f.content)) // inode, size
		words[19], words[20] = unix.S_IFREG|0o444, 1   // mode, links
	case fuseOpen:
		words = make([]uint32, 4)
	case fuseRelease:
	case fuseRead:
		f.reply(request, 0, f.read(le.Uint64(request[fuseHeader+8:]), le.Uint32(request[fuseHeader+16:])))
		return
	default:
		f.reply(request, -int32(unix.ENOSYS), nil)
		return
	}
	body, _ := binary.Append(nil, le, words)
	f.reply(request, 0, body)
}

func (f *slowFile) read(offset uint64, size uint32) []byte {
	end := min(offset+uint64(size), uint64(len(f.content)))
	if f.mu.Lock(); end > pageSize && f.withheld != nil {
		wait := f.withheld
		f.mu.Unlock()
		<-wait
	} else {
		f.mu.Unlock()
	}
	return f.content[min(offset, end):end]
}

func (f *slowFile) reply(request []byte, code int32, body []byte) {
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, uint32(16+len(body)))
	_ = binary.Write(&b, binary.LittleEndian, code)
	b.Write(request[8:16])
	b.Write(body)
	_, _ = f.device.Write(b.Bytes())
}
