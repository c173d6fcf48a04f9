package lifecycle

import "math"

// room is what may still be told of a tree.
type room struct {
	left    int
	omitted uint32 // goroutines that there was no room for, and of which nobody has been told yet
}

// roomsAtOnce is for how many trees memory is taken at once.
const roomsAtOnce = 64

func (t *Tracker) newRoom() *room {
	if len(t.rooms) == 0 {
		t.rooms = make([]room, roomsAtOnce)
	}
	r := &t.rooms[0]
	t.rooms = t.rooms[1:]
	r.left = t.limits.TreeSlices
	if r.left == 0 {
		r.left = math.MaxInt
	}
	return r
}

// tell returns how many goroutines have been omitted since it was called last.
func (r *room) tell() uint32 {
	n := r.omitted
	r.omitted = 0
	return n
}

// full returns the room of the tree that a new goroutine belongs to if there is none in it any more. What an omitted goroutine creates is
// omitted too: it would have no parent.
func (t *Tracker) full(e *Event) *room {
	if e.Root {
		return nil
	}
	if r := t.omitted[e.Parent]; r != nil {
		return r
	}
	if p := t.creator(e); p != nil && p.room.left <= 0 {
		return p.room
	}
	return nil
}
