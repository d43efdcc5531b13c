package offline

import (
	"slices"

	"connrace/capture"
)

// heard is what is remarked on the newest frames of a stream, which is read once: which of them will
// be evidence is known only later. Comments are the same on most frames of a connection, so each
// kind of remarks is kept once.
type heard struct {
	kinds  map[string]uint32 // by what they say
	all    []capture.Remarks // by kind
	frames []uint32          // the kind of each
	first  uint64            // of frames
	begun  uint64            // the first with remarks
	room   int
}

// Bounds of what is kept of a stream.
const (
	mostHeard      = 1 << 22 // frames: 16 MiB
	mostHeardKinds = 1 << 17
	mostHeardRoom  = 32 << 20 // octets of what they say
)

// Kinds that are none.
const (
	silent = iota
	noRoom
)

func newHeard() *heard {
	return &heard{kinds: map[string]uint32{}, all: make([]capture.Remarks, noRoom+1), room: mostHeardRoom}
}

// note keeps what is remarked on a frame. They come in order.
func (h *heard) note(r *capture.Remarks) {
	if h.begun == 0 {
		h.begun, h.first = r.Frame, r.Frame
	}
	if n := r.Frame - h.first; n >= mostHeard { // the older half goes
		gone := n - mostHeard/2
		h.frames = append(h.frames[:0], h.frames[min(gone, uint64(len(h.frames))):]...)
		h.first += gone
	}
	for uint64(len(h.frames)) < r.Frame-h.first {
		h.frames = append(h.frames, silent)
	}
	h.frames = append(h.frames, h.kind(r))
}

// kind is the kind of remarks.
func (h *heard) kind(r *capture.Remarks) uint32 {
	key := append([]byte{byte(r.Direction)}, r.Interface...)
	for _, c := range r.Comments {
		key = append(append(key, 0), c...)
	}
	kind, known := h.kinds[string(key)]
	if !known {
		if len(key) > h.room || len(h.all) >= mostHeardKinds {
			return noRoom
		}
		h.room -= len(key)
		kept := *r
		kept.Comments = make([][]byte, 0, len(r.Comments))
		for _, c := range r.Comments {
			kept.Comments = append(kept.Comments, slices.Clone(c))
		}
		kind = uint32(len(h.all))
		h.kinds[string(key)] = kind
		h.all = append(h.all, kept)
	}
	return kind
}

// of is what is remarked on a frame; nil: nothing, or, where that is lost, it had no room.
func (h *heard) of(frame uint64) (r *capture.Remarks, lost bool) {
	if frame < h.first || frame-h.first >= uint64(len(h.frames)) {
		return nil, h.begun <= frame && frame < h.first
	}
	switch kind := h.frames[frame-h.first]; kind {
	case silent:
		return nil, false
	case noRoom:
		return nil, true
	default:
		is := h.all[kind]
		is.Frame = frame
		return &is, false
	}
}
