package detect

import (
	"connrace/detect/internal/idle"
	"connrace/tcpstate"
)

// Whether a target closed all of its connections or some of them, and whether it went on with the
// others, is told by two things that cost next to nothing: how many are open, and from when to when
// connections that were open before and after were served.

// standing are the connections, by Flow.Index, that are established and that nobody has begun to
// close: a bit for each, for a Flow has no room for it.
type standing []uint64

// add reports whether it was not there.
func (s *standing) add(i uint32) bool {
	for int(i/64) >= len(*s) {
		*s = append(*s, 0)
	}
	word, bit := &(*s)[i/64], uint64(1)<<(i%64)
	was := *word
	*word |= bit
	return was&bit == 0
}

// remove reports whether it was there.
func (s standing) remove(i uint32) bool {
	if int(i/64) >= len(s) || s[i/64]>>(i%64)&1 == 0 {
		return false
	}
	s[i/64] &^= 1 << (i % 64)
	return true
}

func (s standing) has(i uint32) bool { return int(i/64) < len(s) && s[i/64]>>(i%64)&1 != 0 }

// begins counts a connection of a target that is established, or that was when the capture began.
func (d *Detector) begins(f *tcpstate.Flow, t *target, seen int64) {
	d.accepted.note(f, seen)
	if d.standing.add(f.Index()) {
		t.open++
	}
}

// ends counts a connection no more that a side closes, or that is forgotten: there is no event then.
func (d *Detector) ends(f *tcpstate.Flow, e *tcpstate.Event) {
	if !d.standing.remove(f.Index()) {
		return
	}
	t := d.targetOf(f)
	t.open--
	if e != nil && e.Side != f.LB() {
		t.kept().closes.Fell(e.Time, t.open)
	}
}

// served notes that a request was answered. It was sent for certain behind what closed long enough before it.
func (d *Detector) served(f *tcpstate.Flow, x *told, request int64) {
	if since := d.accepted.since(f); since != 0 && request-since > idle.Moment {
		x.served.Add(since, request-idle.Moment)
	}
}
