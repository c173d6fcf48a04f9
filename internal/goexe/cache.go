package goexe

import (
	"io/fs"
	"sync"
)

// maxCached bounds the memory of a Cache: some 100 KiB for each file.
const maxCached = 64

// Cache remembers what was found in executable files: a program that is started again is not analysed again. Its zero value is empty
// and ready for use, also by many goroutines at once.
type Cache struct {
	mu    sync.Mutex
	known map[identity]*Binary
}

// identity is what tells executable files from each other. The number of an inode may be given to another file, so the build id counts
// too, and size and time for files without one.
type identity struct {
	device, inode  uint64
	size, modified int64
	build          string
}

// buildIDs are the sections with build ids, the linker's own and the external one's (cmd/link/internal/ld/elf.go).
var buildIDs = []string{".note.go.buildid", ".note.gnu.build-id"}

const maxBuildID = 512

// identify says which file the image is of.
func (im *image) identify(info fs.FileInfo) {
	im.identity = identity{size: info.Size(), modified: info.ModTime().UnixNano()}
	im.identity.device, im.identity.inode = deviceAndInode(info)
	for _, name := range buildIDs {
		_, note := im.section(name)
		im.identity.build += string(note[:min(len(note), maxBuildID)])
	}
}

// Open does what the function Open does.
func (c *Cache) Open(path string) (*Binary, error) {
	return open(path, func(im *image) (*Binary, error) {
		c.mu.Lock()
		known := c.known[im.identity]
		c.mu.Unlock()
		if known != nil {
			return known.in(im)
		}
		b, err := analyse(im)
		if err != nil {
			return nil, err
		}
		c.remember(b)
		return b, nil
	})
}

func (c *Cache) remember(b *Binary) {
	known := *b
	known.image, known.symbols = nil, nil
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxCached {
		c.known = map[identity]*Binary{}
	}
	c.known[b.image.identity] = &known
}

// in returns what is known of a file for another image of it.
func (b *Binary) in(im *image) (*Binary, error) {
	again := *b
	again.image = im
	var err error
	again.symbols, err = again.table.open(im)
	return &again, err
}
