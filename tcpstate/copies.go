package tcpstate

import "slices"

// copies finds connections that the capture shows once more, with other addresses: a host that translates
// them (DNAT, masquerading) has each segment on two interfaces, or twice on one. The first
// segment of such a connection is one of the other one, a moment later: the first of the same side.
type copies struct {
	first []firstSegment // of the sides of flows, by what it says; the newest of equal places
}

// firstSegment is what a translation leaves as it is of the first segment of a side.
type firstSegment struct {
	time         int64
	src, dst     Endpoint
	seq, ack     Seq
	len          uint32
	tsval, tsecr uint32
	window, id   uint16
	flags        Flags
	ttl          uint8
	hasTS        bool
}

const (
	copiesKept = 1 << 10 // first segments
	// copyWithin is how much later a host has sent on what it received; by judgement, as processors are
	// busy and queues are long.
	copyWithin = 10 * millisecond
	// copyHops is how many hops lie in between at most: each takes one of the time to live, which tells a copy from
	// traffic that was made up alike.
	copyHops = 8
)

// isCopy reports whether the first segment of a side is that of another flow, with other ends.
func (c *copies) isCopy(s *Segment) bool {
	if s.NoLength || s.Bogus || s.Flags&RST != 0 || s.Flags&(SYN|ACK) == 0 {
		return false
	}
	if c.first == nil {
		c.first = make([]firstSegment, copiesKept)
	}
	x := firstSegment{
		time: s.Time, src: s.Src, dst: s.Dst, seq: s.Seq, len: s.Len, window: s.Window, id: s.IPID, flags: s.Flags, ttl: s.TTL, hasTS: s.HasTS,
	}
	if s.HasTS {
		x.tsval, x.tsecr = s.TSVal, s.TSEcr
	}
	if s.Flags&ACK != 0 {
		x.ack = s.Ack
	}
	h := uint32(x.seq)*0x9e3779b1 ^ uint32(x.ack)*0x85ebca77 ^ x.tsval*0xc2b2ae3d
	o := &c.first[(h^h>>15)*0x2c1b3c6d>>(32-10)]
	was := *o
	*o = x
	if was.src == x.src && was.dst == x.dst || since(x.time, was.time) > copyWithin || since(x.time, was.time) < -copyWithin {
		return false
	}
	if hops := max(x.ttl, was.ttl) - min(x.ttl, was.ttl); hops == 0 || hops > copyHops {
		return false
	}
	x.time, x.src, x.dst, x.ttl = was.time, was.src, was.dst, was.ttl
	return x == was
}

// NewBehind is a tracker of the flows that t hands to its Config.Copy: captures, frames and streams count
// as they do in t.
func (t *Tracker) NewBehind(cfg Config) *Tracker {
	b := NewTracker(cfg)
	b.numbering = t.numbering
	b.bases, b.exact = slices.Clone(t.bases), slices.Clone(t.exact)
	return b
}

// TrackCopy is Track for a segment that another tracker has given the number of its stream.
func (t *Tracker) TrackCopy(s *Segment, stream uint32) {
	t.given, t.hasGiven = stream, true
	t.Track(s)
}
