package tcpstate

import "slices"

// copies finds connections that the capture shows once more, with other addresses: a host that translates
// them (DNAT, masquerading) has each segment on two interfaces, or twice on one. The first
// segment of such a connection is one of the other one, a moment later: the first of the same side.
type copies struct {
	first []firstSegment // of the sides of flows, by what it says; the newest of equal places
}

// firstSegment is the first one of a side, half of a cache line: there are two for each connection.
type firstSegment struct {
	time    int64
	content uint64 // a hash of what a translation leaves as it is
	ends    uint64 // a hash of the rest
	ttl     uint8
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
	x := firstSegment{s.Time, contentOf(s), endsOf(s), s.TTL}
	o := &c.first[x.content%copiesKept]
	was := *o
	*o = x
	if was.content != x.content || was.ends == x.ends || since(x.time, was.time) > copyWithin || since(x.time, was.time) < -copyWithin {
		return false
	}
	hops := max(x.ttl, was.ttl) - min(x.ttl, was.ttl)
	return hops != 0 && hops <= copyHops
}

// contentOf is a hash of what a segment says, whatever its ends are.
func contentOf(s *Segment) uint64 {
	h := uint64(s.Seq)<<32 | uint64(s.Len)
	if s.Flags&ACK != 0 {
		h = fold(h, uint64(s.Ack))
	}
	if s.HasTS {
		h = fold(h, uint64(s.TSVal)<<32|uint64(s.TSEcr))
	}
	return fold(h, uint64(s.Window)<<32|uint64(s.IPID)<<16|uint64(s.Flags))
}

// endsOf is a hash of its ends.
func endsOf(s *Segment) uint64 {
	h := fold(s.Src.Addr.Hi, s.Src.Addr.Lo)
	h = fold(h^s.Dst.Addr.Hi, s.Dst.Addr.Lo)
	return fold(h, uint64(s.Src.Port)<<16|uint64(s.Dst.Port))
}

// fold is a hash of a hash and more. It is the same in each run, unlike those of queries: which segments take
// each other's place must not be left to chance.
func fold(h, x uint64) uint64 { return mix(h^0x9e3779b97f4a7c15, x^0xe7037ed1a0b428db) }

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
