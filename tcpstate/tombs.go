package tcpstate

import "slices"

// tombstone is what remains of a forgotten flow: enough to number its late segments
// and a new use of its ports as Wireshark does.
type tombstone struct {
	stream  uint32
	grave   uint32 // the number of its grave
	base    [2]Seq
	hasBase [2]bool
	fin     bool // a FIN was seen: late RSTs count as RSTs after a FIN
}

// graves bound the tombstones: the oldest makes room. They are a queue, some of which have
// no tombstone any more, for its connection has come back.
type graves struct {
	v    []grave
	head int    // of the queue
	next uint32 // number

	lost  bool // a tombstone was taken away
	fresh bool // so soon that its connection may not have been over
}

type grave struct {
	key    tuple
	number uint32
	dug    uint32 // in this second
}

// freshGrave is how long a SYN may still be repeated, in seconds: the sixth time on Linux
// comes after 63, the pause behind it ends after 127.
const freshGrave = 130

// bury leaves a tombstone for a flow, and takes away the one that has stood longest.
func (t *Tracker) bury(f *Flow) {
	g := &t.graves
	g.next++
	k := tuple{f.addr, f.port}
	tomb := tombstone{stream: f.stream, grave: g.next, fin: f.flags&flowClosing != 0}
	for i := range f.Half {
		tomb.base[i], tomb.hasBase[i] = f.Half[i].ISN, f.Half[i].flags&flagBase != 0
	}
	t.tombs[k] = tomb
	now := uint32(t.now / second)
	for len(t.tombs) > t.cfg.MaxTombs {
		old := g.v[g.head]
		g.head++
		if t.stands(&old) {
			delete(t.tombs, old.key)
			g.lost = true
			g.fresh = g.fresh || now-old.dug < freshGrave
		}
	}
	if len(g.v) == cap(g.v) && len(g.v) > len(t.tombs)+len(t.tombs)/2 {
		kept := g.v[:0]
		for _, x := range g.v[g.head:] {
			if t.stands(&x) {
				kept = append(kept, x)
			}
		}
		g.v, g.head = kept, 0
	}
	g.v = append(g.v, grave{k, g.next, now})
}

// stands reports whether a grave still has its tombstone.
func (t *Tracker) stands(g *grave) bool {
	tomb, ok := t.tombs[g.key]
	return ok && tomb.grave == g.number
}

// doubtNumber takes note that the first segment of what looks like a new connection may
// belong to one whose tombstone was taken away: Wireshark then goes on with its number,
// and all later numbers here are too high by one.
func (t *Tracker) doubtNumber(s *Segment) {
	if g := &t.graves; g.fresh || g.lost && s.Flags&(SYN|ACK) != SYN {
		t.exact[t.capture] = min(t.exact[t.capture], t.nextStream)
	}
}

// Exact reports whether a stream number in a capture is certainly Wireshark's. It is not
// if a connection before it had been forgotten for want of room and may have gone on.
func (t *Tracker) Exact(capture int, stream uint32) bool { return stream < t.exact[capture] }

// ExactStreams is, for each capture, how many stream numbers from 0 on are certainly
// Wireshark's; MaxUint32: all.
func (t *Tracker) ExactStreams() []uint32 { return slices.Clone(t.exact) }
