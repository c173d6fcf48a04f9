//go:build linux

package inject

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/otelgoroutine/goroutinereceiver/internal/engine"
	"github.com/otelgoroutine/goroutinereceiver/internal/engine/trampoline/ring"
)

// share gives the process memory that it shares with this one, and a page for trampolines. After an error it has neither.
func (p *process) share(all mappings, strays []uint64, program Program) (*shared, error) {
	if err := p.checkSites(program.Sites, mapping{}); err != nil {
		return nil, err
	}
	place, err := p.place(all, program.Sites)
	if err != nil {
		return nil, err
	}
	fd, err := p.create(strays)
	if err != nil {
		return nil, err
	}
	s, err := p.openCreated(fd)
	if err != nil {
		return nil, errors.Join(err, p.closeDescriptors([]uint64{fd}))
	}
	s.text = place
	if err = errors.Join(s.lock(), s.format(program.Geometry), s.setWord(ring.OffCode, place)); err != nil {
		return nil, errors.Join(err, p.closeDescriptors([]uint64{fd}), s.close())
	}
	err = p.borrow("", func(c *caller) error { return c.mapShared(s, fd, program.Geometry.Size()) })
	if err == nil {
		err = s.setWord(ring.OffData, s.data)
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// create has the process make a memfd, and close others.
func (p *process) create(strays []uint64) (fd uint64, err error) {
	err = p.borrow(MemoryName, func(c *caller) error {
		if err := c.close(strays...); err != nil {
			return err
		}
		const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
		fd, err = c.call(unix.SYS_MEMFD_CREATE, c.text(), flags|unix.MFD_NOEXEC_SEAL)
		if errors.Is(err, unix.EINVAL) { // before Linux 6.3
			fd, err = c.call(unix.SYS_MEMFD_CREATE, c.text(), flags)
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("make shared memory: %w", err)
	}
	return fd, nil
}

// openCreated opens what create made, unless the process has closed it and has something else there by now.
func (p *process) openCreated(fd uint64) (*shared, error) {
	if to, err := os.Readlink(p.descriptor(fd)); err != nil || to != memoryPath {
		return nil, fmt.Errorf("the descriptor of shared memory was closed: it is %q, %w", to, err)
	}
	return openShared(p.descriptor(fd))
}

// closeDescriptors has the process close some.
func (p *process) closeDescriptors(fds []uint64) error {
	if len(fds) == 0 {
		return nil
	}
	return p.borrow("", func(c *caller) error { return c.close(fds...) })
}

// close closes descriptors of shared memory: none that is another file's by now.
func (c *caller) close(fds ...uint64) error {
	for _, fd := range fds {
		if to, err := os.Readlink(c.t.p.descriptor(fd)); err != nil || to != memoryPath {
			continue
		}
		if _, err := c.call(unix.SYS_CLOSE, fd); err != nil {
			return fmt.Errorf("close descriptor %d: %w", fd, err)
		}
	}
	return nil
}

// mapShared maps the memory and a page for trampolines, or neither, and closes the memory's descriptor.
func (c *caller) mapShared(s *shared, fd, size uint64) (err error) {
	s.data, err = c.call(unix.SYS_MMAP, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED, fd, 0)
	if err != nil {
		return errors.Join(fmt.Errorf("map shared memory: %w", err), c.close(fd))
	}
	if err = c.mapText(s.text); err == nil {
		if err = c.verify(s); err == nil {
			return c.close(fd)
		}
		err = errors.Join(err, c.unmap(s.text, TextSize))
	}
	return errors.Join(err, c.unmap(s.data, size), c.close(fd))
}

// mapText maps a page for trampolines, which are written from outside.
func (c *caller) mapText(at uint64) error {
	const flags = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_FIXED_NOREPLACE
	got, err := c.call(unix.SYS_MMAP, at, TextSize, unix.PROT_READ|unix.PROT_EXEC, flags, ^uint64(0), 0)
	if err != nil {
		return textError(err)
	}
	if got != at { // Linux before 4.17 takes the address for a wish
		return errors.Join(textError(unix.EEXIST), c.unmap(got, TextSize))
	}
	return nil
}

// textError tells why executable memory cannot be mapped: SELinux, for one, has a permission for it (execmem).
func textError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return engine.Refuse(engine.RefusedMemoryProtection, "map executable memory: %w", err)
	case errors.Is(err, unix.EEXIST):
		return engine.Refuse(engine.RefusedNoRoom, "map executable memory: %w", err)
	}
	return fmt.Errorf("map executable memory: %w", err)
}

// verify tells whether what was mapped is the shared memory: the process may have closed the descriptor, and have had it anew.
func (c *caller) verify(s *shared) error {
	all, err := c.t.p.mappings()
	if err != nil {
		return err
	}
	inode, err := s.inode()
	if err != nil {
		return err
	}
	if m, ok := all.at(s.data); !ok || m.path != memoryPath || m.inode != inode {
		return fmt.Errorf("%q was mapped instead of shared memory", m.path)
	}
	return nil
}

func (c *caller) unmap(at, size uint64) error {
	if _, err := c.call(unix.SYS_MUNMAP, at, size); err != nil {
		return fmt.Errorf("unmap %#x: %w", at, err)
	}
	return nil
}

// withdraw takes away what share has given, if no thread can ever have used it.
func (p *process) withdraw(s *shared, sites []Site) error {
	if err := p.checkSites(sites, mapping{}); err != nil {
		return nil // what is mapped does no harm
	}
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	return p.borrow("", func(c *caller) error {
		return errors.Join(c.unmap(s.text, TextSize), c.unmap(s.data, uint64(info.Size())))
	})
}
