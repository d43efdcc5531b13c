package capture

import "connrace/tcpstate"

// Contents say of each frame of a capture, in 16 bits, between which ends its segments are. Who looks
// for some connections need not decode the others' again.
type Contents struct {
	blocks []*[stepsBlock]Key
	n      uint64 // frames that are noted
	newest uint64 // of them that hold a segment
	most   uint64
}

// A Key stands for the two ends of a segment, whichever sends it. Other ends may have the same.
type Key uint16

// Keys that no two ends have.
const (
	NoKey  Key = iota // no segment
	AnyKey            // any: not noted, or several segments
)

// KeyOf is the key of two ends, by the hash of their segments.
func KeyOf(hash uint32) Key { return max(Key(hash>>16), AnyKey+1) }

// NewContents are those of a capture, of so many frames at most.
func NewContents(most uint64) *Contents { return &Contents{most: most} }

// Add notes the next segments, in the order of their frames, by their hashes.
func (c *Contents) Add(segs []tcpstate.Segment, hashes []uint32) {
	for len(segs) > 0 {
		n := segs[0].Frame - 1
		if n >= c.most {
			return
		}
		c.grow(n + 1)
		first := n - n%stepsBlock + 1
		k := c.noteIn(c.blocks[n/stepsBlock], first, min(stepsBlock, c.most+1-first), segs, hashes)
		segs, hashes = segs[k:], hashes[k:]
	}
}

// noteIn notes segments in a block that begins with a frame and has room for so many, and returns how many segments
// it took. Notes are written and not read: reading fresh memory costs a page fault of its own.
func (c *Contents) noteIn(block *[stepsBlock]Key, first, room uint64, segs []tcpstate.Segment, hashes []uint32) int {
	newest := c.newest
	hashes = hashes[:len(segs)]
	i := 0
	for ; i < len(segs); i++ {
		frame := segs[i].Frame
		if frame-first >= room {
			break
		}
		k := KeyOf(hashes[i])
		if frame == newest {
			k = AnyKey
		}
		newest = frame
		block[(frame-first)%stepsBlock] = k
	}
	c.newest = newest
	return i
}

// grow makes room for so many frames.
func (c *Contents) grow(n uint64) {
	for n > uint64(len(c.blocks))*stepsBlock {
		c.blocks = append(c.blocks, new([stepsBlock]Key))
	}
}

// Through says that all segments of the frames up to one have been noted.
func (c *Contents) Through(frame uint64) {
	c.n = min(frame, c.most)
	c.grow(c.n)
}

// Noted is how many frames are.
func (c *Contents) Noted() uint64 { return c.n }

// Of is the key of a frame, by its number.
func (c *Contents) Of(frame uint64) Key {
	if c == nil || frame > c.n {
		return AnyKey
	}
	return c.blocks[(frame-1)/stepsBlock][(frame-1)%stepsBlock]
}

// Holds reports whether a frame has these segments, by its key.
func (c *Contents) Holds(frame uint64, segs []tcpstate.Segment) bool {
	k := c.Of(frame)
	return k == AnyKey || len(segs) == 0 && k == NoKey || len(segs) == 1 && k == KeyOf(segs[0].Hash())
}

// Keys are some of them. AnyKey belongs to all that are looked for.
type Keys [1 << 11]uint32

// Add adds a key.
func (s *Keys) Add(k Key) { s[k>>5] |= 1 << (k & 31) }

// Has reports whether a key is among them.
func (s *Keys) Has(k Key) bool { return s[k>>5]>>(k&31)&1 != 0 }

// Among appends to some frames the numbers of those from first to last whose keys are among these.
func (c *Contents) Among(s *Keys, first, last uint64, frames []uint64) []uint64 {
	for n := first; n <= min(last, c.n); {
		at := (n - 1) % stepsBlock
		b := c.blocks[(n-1)/stepsBlock][at:min(at+last-n+1, stepsBlock)]
		for i := s.next(b, 0); i < len(b); i = s.next(b, i+1) {
			frames = append(frames, n+uint64(i))
		}
		n += uint64(len(b))
	}
	for n := max(first, c.n+1); n <= last; n++ { // not noted
		frames = append(frames, n)
	}
	return frames
}

// next is the place of the next of some keys that is among these, from one on.
func (s *Keys) next(keys []Key, i int) int {
	for i < len(keys) && !s.Has(keys[i]) {
		i++
	}
	return i
}
