package capture

import "connrace/tcpstate"

// Contents say of each frame of a capture, in 16 bits, between which ends its segments are. Who looks
// for some connections need not decode the others' again.
type Contents struct {
	blocks []*[stepsBlock]Key
	n      uint64 // frames that are noted
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

// Add notes the next segments, by their hashes.
func (c *Contents) Add(segs []tcpstate.Segment, hashes []uint32) {
	for len(segs) > 0 {
		n := segs[0].Frame - 1
		if n >= c.most {
			return
		}
		c.grow(n + 1)
		block, first := c.blocks[n/stepsBlock], n-n%stepsBlock
		room := min(stepsBlock, c.most-first)
		hashes = hashes[:len(segs)]
		i := 0
		for ; i < len(segs); i++ {
			at := segs[i].Frame - 1 - first
			if at >= room {
				break
			}
			if k := &block[at%stepsBlock]; *k == NoKey {
				*k = KeyOf(hashes[i])
			} else {
				*k = AnyKey
			}
		}
		segs, hashes = segs[i:], hashes[i:]
	}
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
		for i, k := range b {
			if s.Has(k) {
				frames = append(frames, n+uint64(i))
			}
		}
		n += uint64(len(b))
	}
	for n := max(first, c.n+1); n <= last; n++ { // not noted
		frames = append(frames, n)
	}
	return frames
}
