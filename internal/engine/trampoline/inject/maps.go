//go:build linux

package inject

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// mapping is a line of /proc/PID/maps.
type mapping struct {
	start, end, offset, inode uint64
	permissions, path         string
}

func (m mapping) holds(address uint64) bool { return address >= m.start && address < m.end }

func (m mapping) executable() bool { return strings.Contains(m.permissions, "x") }

// mappings is what a process has in its memory, in the order of addresses.
type mappings []mapping

func (p *process) mappings() (mappings, error) {
	file, err := os.Open(p.proc + "/maps")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errGone, err)
	}
	defer file.Close()
	all, err := readMappings(file)
	if err != nil {
		return nil, err
	}
	if _, ok := all.at(p.code); ok {
		return all, nil
	}
	for range 10 { // while another program is being executed, there is its memory and the old one too
		if p.gone() {
			return nil, errGone
		}
		time.Sleep(time.Millisecond)
	}
	return all, nil
}

func readMappings(from io.Reader) (all mappings, err error) {
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		fields := strings.SplitN(lines.Text(), " ", 6)
		if len(fields) < 5 {
			return nil, fmt.Errorf("/proc maps: %q", lines.Text())
		}
		m := mapping{permissions: fields[1]}
		if _, err := fmt.Sscanf(strings.Join([]string{fields[0], fields[2], fields[4]}, " "), "%x-%x %x %d", &m.start, &m.end, &m.offset, &m.inode); err != nil {
			return nil, fmt.Errorf("/proc maps: %q: %w", lines.Text(), err)
		}
		if len(fields) == 6 {
			m.path = strings.TrimLeft(fields[5], " ")
		}
		all = append(all, m)
	}
	return all, lines.Err()
}

func (all mappings) at(address uint64) (mapping, bool) {
	i := slices.IndexFunc(all, func(m mapping) bool { return m.holds(address) })
	if i < 0 {
		return mapping{}, false
	}
	return all[i], true
}

// image returns the mapping of the executable's code that holds an address, and where the executable begins.
func (all mappings) image(address uint64) (code mapping, begin uint64, err error) {
	code, ok := all.at(address)
	if !ok || !code.executable() || code.inode == 0 || !strings.HasSuffix(code.permissions, "p") {
		return code, 0, fmt.Errorf("%#x is not in private executable memory of a file", address)
	}
	first := slices.IndexFunc(all, func(m mapping) bool { return m.path == code.path && m.inode == code.inode })
	return code, all[first].start, nil
}
