package join

import (
	"fmt"
	"slices"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

// judge says of the finding that is kept where its segments were seen, and holds it against that.
// first is, by point, what its captures are counted from.
func (m *Merger) judge(x *incident, first []int) {
	if x.trails == nil || m.look.stopped.Load() {
		return
	}
	s := m.scene(x)
	s.first = first
	if len(s.points) < 2 {
		return
	}
	s.mark()
	g := s.sightings()
	if !x.f.Prove(&g) && x.f.Severity > detect.Info {
		s.outside()
	}
	if m := &x.f.Measures; m.RSTOrigin == detect.OriginBetween && m.RSTOriginBasis == detect.OriginByJoining && !g.RST.FromLB {
		s.markForged()
	}
}

// outside says which captures have no frames any more, or none yet, of when another saw what the finding is about. Whether
// they had ended, or nothing came there any more, they do not show.
func (s *scene) outside() {
	for _, p := range s.points {
		ahead, off, known := s.Links.Ahead(s.point, p, s.f.Time)
		if p == s.point || !known {
			continue
		}
		first, last := int64(0), int64(0)
		for _, c := range s.Points[p].Spans {
			if c.First != 0 && (first == 0 || c.First < first) {
				first = c.First
			}
			last = max(last, c.Last)
		}
		at := s.f.Time + ahead
		switch name := s.Points[p].Name; {
		case at-off > last:
			s.f.Unseen(fmt.Sprintf("the last frame of %s is %s older, and whether it came there is not known", name, text.Span(at-last)))
		case at+off < first:
			s.f.Unseen(fmt.Sprintf("the first frame of %s is %s younger, and whether it came there is not known", name, text.Span(first-at)))
		}
	}
}

// scene is a connection at the points that had it, or would have had it.
type scene struct {
	*Merger
	*incident
	points []int // along the path
	first  []int
}

// scene is that of an incident. A point that shows other connections to the same target would
// have shown this one, unless it had too many for all to be kept.
func (m *Merger) scene(x *incident) *scene {
	s := &scene{Merger: m, incident: x}
	for p, t := range x.trails {
		if t != nil || p > x.point && !m.Points[p].Result.ConnectionsCut && m.covers(p, x.f.Target.Addr) && !m.answered(x) {
			s.points = append(s.points, p)
		}
	}
	return s
}

// answered reports whether the target has sent something on the connection of an incident, however long before: a point near it
// that does not show any of that shows it by ends, or at a time, at which it was not recognised.
func (m *Merger) answered(x *incident) bool {
	r, at := m.Points[x.point].Result, m.conns[x.conn].at[x.point]
	return at >= 0 && slices.ContainsFunc(r.AppendMarks(nil, &r.Connections[at]), func(k detect.Mark) bool {
		return !k.FromLB && !k.Control.Has(tcpstate.RST)
	}) || x.trails[x.point] != nil && slices.ContainsFunc(x.trails[x.point].segs, func(s seg) bool {
		return !s.fromLB && s.flags&tcpstate.RST == 0
	})
}

// covers reports whether a point shares connections to a host with the first that has them, which
// calls the host so.
func (m *Merger) covers(p int, host tcpstate.Addr) bool {
	m.names()
	return m.hosts[p][host]
}

// segs are what a point saw, nothing where it did not have the connection.
func (s *scene) segs(p int) []seg {
	if t := s.trails[p]; t != nil {
		return t.segs
	}
	return nil
}

// common is a segment of a point with the numbers of the point nearest to the LB.
func (s *scene) common(p int, x seg) seg {
	shift := s.conns[s.conn].shift[p]
	i := side(x.fromLB)
	x.seq -= shift[i]
	if x.flags.Has(tcpstate.ACK) {
		x.ack -= shift[1-i]
	}
	return x
}

// margin is how long a capture must go on behind a segment to show whether that arrived, beside
// four times as long as ways to and fro take: queues are drained in less.
const margin = int64(10e6)

// looking reports whether a point captured such segments, and lost nothing that is known of, when one that
// another saw would have passed it.
func (s *scene) looking(p, from int, x *seg) bool {
	return s.covered(p, from, x) && !s.lossy(p, s.conn, 1)
}

// covered is looking as far as the point itself knows what it lost.
func (s *scene) covered(p, from int, x *seg) bool {
	if !s.captures(p)[kindOf(x.flags, x.len, x.fromLB)] {
		return false
	}
	at := x.time
	ahead, off, known := s.Links.Ahead(from, p, at)
	if t := s.trails[p]; !known || t != nil && t.full || s.trails[from] != nil && s.trails[from].full {
		return false
	}
	at += ahead
	if t := s.trails[p]; t != nil && !slices.ContainsFunc(t.windows, func(w window) bool { return w.from <= at-off && at+off <= w.to }) {
		return false
	}
	return s.during(p, from, x.time)
}

// during reports whether a point was captured when a segment passed it that another saw at a time.
func (m *Merger) during(p, from int, at int64) bool {
	ahead, off, known := m.Links.Ahead(from, p, at)
	at += ahead
	return known && slices.ContainsFunc(m.Points[p].Spans, func(c Span) bool {
		return !c.Dropped && c.First != 0 && c.First <= at-off && at+4*off+margin <= c.Last
	})
}

// kind is what filters tell apart: by flags, by whether there is data, and data by where it comes from.
type kind uint8

const (
	setsUp kind = iota
	closes      // by a FIN
	resets
	resetsBare // without an ACK
	acknowledges
	carries // from the target
	carriesFromLB
	kinds
)

var allKinds = [kinds]bool{true, true, true, true, true, true, true}

func kindOf(flags tcpstate.Flags, n uint32, fromLB bool) kind {
	switch {
	case flags.Has(tcpstate.SYN):
		return setsUp
	case n > 0 && fromLB:
		return carriesFromLB
	case n > 0:
		return carries
	case flags&(tcpstate.RST|tcpstate.ACK) == tcpstate.RST:
		return resetsBare
	case flags.Has(tcpstate.RST):
		return resets
	case flags.Has(tcpstate.FIN):
		return closes
	}
	return acknowledges
}

// captures are the kinds of segments that a point is known to capture: what a filter leaves out
// is not lost.
func (m *Merger) captures(p int) *[kinds]bool {
	if m.kinds == nil {
		m.kinds = make([]*[kinds]bool, len(m.Points))
	}
	if m.kinds[p] == nil {
		has := new([kinds]bool)
		r := m.Points[p].Result
		// There are filters for each kind of RST: only one that was captured shows that those are.
		has[resets], has[resetsBare] = r.RSTs > 0, r.BareRSTs > 0
		cs, all := r.Connections, allKinds
		all[resets], all[resetsBare] = has[resets], has[resetsBare]
		saw := func(k kind) {
			has[k] = true
			has[closes] = has[closes] || k == acknowledges // neither data nor a SYN nor an RST: nothing else is left out
		}
		var marks []detect.Mark
		for i := 0; i < len(cs) && *has != all; i++ {
			marks = r.AppendMarks(marks[:0], &cs[i])
			for k := range marks {
				if x := &marks[k]; !x.Control.Has(tcpstate.RST) {
					saw(kindOf(x.Control, x.Len, x.FromLB))
				}
			}
		}
		for key, t := range m.seen {
			for i := 0; int(key[1]) == p && i < len(t.segs); i++ {
				x := &t.segs[i]
				saw(kindOf(x.flags, x.len, x.fromLB))
			}
		}
		m.kinds[p] = has
	}
	return m.kinds[p]
}

const ends3 = tcpstate.SYN | tcpstate.FIN | tcpstate.RST

// isCopy reports whether b is a segment as it passed another point, or, where anyCopy is set, one
// that carries the same.
func isCopy(a, b *seg, anyCopy bool) bool {
	if a.fromLB != b.fromLB || !anyCopy && a.stamp != 0 && b.stamp != 0 && a.stamp != b.stamp {
		return false
	}
	switch {
	case a.flags&(tcpstate.SYN|tcpstate.RST) != 0 || b.flags&(tcpstate.SYN|tcpstate.RST) != 0:
		return a.flags&(ends3|tcpstate.ACK) == b.flags&(ends3|tcpstate.ACK) && a.seq == b.seq
	case a.flags.Has(tcpstate.FIN):
		return b.flags.Has(tcpstate.FIN) && a.seq.Add(a.len) == b.seq.Add(b.len)
	case a.len > 0:
		return holds(b, a.seq)
	}
	return b.len == 0 && a.flags == b.flags && a.seq == b.seq && a.ack == b.ack
}

// holds reports whether a segment has an octet.
func holds(x *seg, octet tcpstate.Seq) bool {
	return x.len > 0 && x.seq.AtOrBefore(octet) && octet.Before(x.seq.Add(x.len))
}

// mark says of each segment of evidence where it was seen, and adds what only others show.
func (s *scene) mark() {
	used := map[[2]uint64]bool{}
	s.add()
	for i := range s.f.Evidence {
		e := &s.f.Evidence[i]
		own := s.pointOf(e)
		a, ok := s.find(own, e)
		if !ok {
			continue
		}
		var seen []detect.Seen
		for _, p := range s.points {
			point := s.first[p]
			if p == own {
				seen = append(seen, detect.Seen{Point: point, Capture: e.Capture, Frame: e.Frame, Time: e.Time})
				continue
			}
			ahead, _, _ := s.Links.Ahead(own, p, a.time)
			best, far := s.nearest(&a, own, p, used)
			switch {
			case best != nil && far < around:
				used[best.id()] = true
				after := best.time - a.time - ahead
				seen = append(seen, detect.Seen{Point: point, Capture: s.captureOf(p, best), Frame: best.frame, Time: best.time, After: after})
				e.Note += fmt.Sprintf("; seen at %s frame %d, %s", s.nameOf(p, best.capture), best.frame, offset(after))
			case s.looking(p, own, &a) && !s.received(&a):
				seen = append(seen, detect.Seen{Point: point, Absent: true})
				if e.FromLB == (own < p) {
					e.Note += "; never arrived at " + s.Points[p].Name
				} else {
					e.Note += notSent + s.Points[p].Name + claimed
				}
			}
		}
		e.SetSeen(seen)
	}
}

// markForged says of RSTs in the target's name, of which it is proved that it sent none, that they are not at the point
// next to it, also where that is not known to have RSTs.
func (s *scene) markForged() {
	far := s.points[len(s.points)-1]
	for i := range s.f.Evidence {
		e := &s.f.Evidence[i]
		known := func(x detect.Seen) bool { return x.Point == s.first[far] }
		if e.FromLB || !e.Flags.Has(tcpstate.RST) || len(e.Seen()) == 0 || slices.ContainsFunc(e.Seen(), known) {
			continue
		}
		e.SetSeen(append(slices.Clone(e.Seen()), detect.Seen{Point: s.first[far], Absent: true}))
		e.Note += notSent + s.Points[far].Name + claimed
	}
}

// What is said of a segment that is not where it would have been sent.
const notSent, claimed = "; not seen at ", ", where it claims to come from"

// received reports whether some point shows that the other end has a segment.
func (s *scene) received(x *seg) bool {
	if x.len == 0 && x.flags&(tcpstate.SYN|tcpstate.FIN) == 0 || x.flags.Has(tcpstate.RST) {
		return false
	}
	return s.acked(x.fromLB, x.seq)
}

func (x *seg) id() [2]uint64 { return [2]uint64{uint64(x.capture), x.frame} }

// nearest is the copy of a segment that another point saw next to when it would have, and how far from that;
// nil: it saw none.
func (s *scene) nearest(a *seg, own, p int, used map[[2]uint64]bool) (best *seg, far int64) {
	ahead, _, _ := s.Links.Ahead(own, p, a.time)
	segs := s.segs(p)
	for k := range segs {
		b := s.common(p, segs[k])
		if used[segs[k].id()] || !isCopy(a, &b, false) {
			continue
		}
		if d := abs(b.time - a.time - ahead); best == nil || d < far {
			best, far = &segs[k], d
		}
	}
	return best, far
}

// offset writes a time after another.
func offset(ns int64) string {
	if ns < 0 {
		return "−" + text.Span(-ns)
	}
	return "+" + text.Span(ns)
}

func abs(d int64) int64 { return max(d, -d) }

// add adds to the evidence segments of findings that were not kept, where no copy of them is there.
func (s *scene) add() {
	for _, v := range s.views {
		if v.f == s.f {
			continue
		}
		for _, e := range v.f.Evidence {
			e.Capture += s.first[v.point]
			b, ok := s.find(v.point, &e)
			if !ok {
				continue
			}
			if !slices.ContainsFunc(s.f.Evidence, func(o detect.Evidence) bool {
				a, ok := s.find(s.pointOf(&o), &o)
				if !ok || !isCopy(&a, &b, false) {
					return false
				}
				if best, far := s.nearest(&a, s.pointOf(&o), v.point, nil); best != nil && far < around && best.id() == b.id() {
					return true // however long its way was
				}
				ahead, off, _ := s.Links.Ahead(s.pointOf(&o), v.point, a.time)
				return abs(b.time-a.time-ahead) <= off+around/10
			}) {
				later := func(o detect.Evidence) bool { return s.when(&o) > s.when(&e) }
				i := slices.IndexFunc(s.f.Evidence, later)
				if i < 0 {
					i = len(s.f.Evidence)
				}
				s.f.Evidence = slices.Insert(s.f.Evidence, i, e)
			}
		}
	}
}

// when is the time of a segment of evidence by the clock of the finding's own capture.
func (s *scene) when(e *detect.Evidence) int64 {
	ahead, _, _ := s.Links.Ahead(s.pointOf(e), s.point, e.Time)
	return e.Time + ahead
}

// pointOf is the point that has a segment of evidence.
func (s *scene) pointOf(e *detect.Evidence) int {
	p := 0
	for p+1 < len(s.first) && e.Capture >= s.first[p+1] {
		p++
	}
	return p
}

// nameOf is what texts call a capture of a point.
func (s *scene) nameOf(p, capture int) string {
	for _, c := range s.Points[p].Spans {
		if c.Capture == capture && c.Name != "" {
			return c.Name
		}
	}
	return s.Points[p].Name
}

// captureOf is the capture that has a segment, as Evidence.Capture counts.
func (s *scene) captureOf(p int, x *seg) int {
	return s.first[p] + slices.IndexFunc(s.Points[p].Spans, func(c Span) bool { return c.Capture == x.capture })
}

// find is a segment of evidence as its point saw it, with the numbers of the first point.
func (s *scene) find(p int, e *detect.Evidence) (seg, bool) {
	segs := s.segs(p)
	for i := range segs {
		if x := &segs[i]; x.frame == e.Frame && s.captureOf(p, x) == e.Capture {
			return s.common(p, *x), true
		}
	}
	return seg{}, false
}
