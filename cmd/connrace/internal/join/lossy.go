package join

import (
	"math"

	"connrace/detect"
	"connrace/tcpstate"
)

// lacks is how many segments passed a point for certain, and how many of those it lacks: a point behind it has them, or one before it
// has, and the end behind it has acknowledged them.
type lacks struct{ of, missing int }

func (l *lacks) add(o lacks) { l.of, l.missing = l.of+o.of, l.missing+o.missing }

const (
	// byChance is how likely it may be that a capture lost all copies of a segment that it is said not to have: by judgement.
	byChance = 1e-3
	// mostCompared bounds the segments of one trail that are looked for in another.
	mostCompared = 64
	// mostSampled is of how many connections the marks are compared, which lie as far apart as they can.
	mostSampled = 1 << 12
	// surelyAbsent is how many copies of a segment must be absent where others of the same connection were lost: those that follow each
	// other are lost together.
	surelyAbsent = 4
)

// lossy reports whether a point lost so much, of a connection or of all, that it may have lost so many copies of a segment, too.
func (m *Merger) lossy(p int, conn int32, copies int) bool {
	if m.lost == nil {
		m.lost = make([]*lacks, len(m.Points))
	}
	if m.lost[p] == nil {
		l := m.lacksMarks(p)
		m.lost[p] = &l
		for k := range m.seen {
			if int(k[1]) == p {
				m.lost[p].add(m.lacks(p, k[0]))
			}
		}
	}
	l := m.lost[p]
	if l.missing == 0 {
		return false
	}
	if copies < surelyAbsent && m.lacks(p, conn).missing > 0 {
		return true
	}
	return math.Pow(float64(l.missing+1)/float64(l.of+2), float64(copies)) > byChance
}

// lacks counts what a point lacks of a connection.
func (m *Merger) lacks(p int, conn int32) (l lacks) {
	own := m.seen[[2]int32{conn, int32(p)}]
	if own == nil || own.full {
		return l
	}
	s := scene{Merger: m, incident: &incident{conn: conn, trails: make([]*trail, len(m.Points))}}
	var acked [2]tcpstate.Seq // by the target, and by the LB; of octets of the other side
	var has [2]bool
	for q := range m.Points {
		t := m.seen[[2]int32{conn, int32(q)}]
		if s.trails[q] = t; t == nil {
			continue
		}
		s.points = append(s.points, q)
		for _, x := range t.segs {
			x = s.common(q, x)
			if i := side(!x.fromLB); x.flags&(tcpstate.ACK|tcpstate.RST) == tcpstate.ACK && (!has[i] || x.ack.After(acked[i])) {
				acked[i], has[i] = x.ack, true
			}
		}
	}
	for _, q := range s.points {
		n := 0
		for _, x := range s.trails[q].segs {
			x = s.common(q, x)
			i := side(x.fromLB)
			if q == p || x.len == 0 && x.flags&tcpstate.FIN == 0 || x.flags&(tcpstate.SYN|tcpstate.RST) != 0 {
				continue
			}
			arrived := has[i] && acked[i].After(x.seq.Add(x.len-min(x.len, 1)))
			if passed := x.fromLB == (q > p); !passed && !arrived || !s.covered(p, q, &x) {
				continue
			}
			if n++; n > mostCompared {
				break
			}
			if l.of++; !s.shows(p, &x) {
				l.missing++
			}
		}
	}
	return l
}

// shows reports whether a point has a segment, or what it carries.
func (s *scene) shows(p int, x *seg) bool {
	for _, y := range s.segs(p) {
		if y = s.common(p, y); isCopy(x, &y, true) {
			return true
		}
	}
	return false
}

// lacksMarks counts what a point lacks of all connections that it shares with others, by what is kept of those: what went
// wrong may be too little to tell.
func (m *Merger) lacksMarks(p int) (l lacks) {
	var of [kinds][2]lacks
	for i := 0; i < len(m.conns); i += 1 + (len(m.conns)-1)/mostSampled {
		x := &m.conns[i]
		if x.at[p] < 0 {
			continue
		}
		own := m.marksOf(x, p)
		for q := range m.Points {
			if q != p && x.at[q] >= 0 {
				m.compareMarks(&of, x, p, q, own)
			}
		}
	}
	for k := range of {
		for _, n := range of[k] {
			if n.missing < n.of { // else a filter leaves them out
				l.add(n)
			}
		}
	}
	return l
}

// marksOf are those that a point has of a connection, with the numbers of the point nearest to the LB.
func (m *Merger) marksOf(x *conn, p int) []detect.Mark {
	r := m.Points[p].Result
	marks := r.AppendMarks(nil, &r.Connections[x.at[p]])
	back := [2]tcpstate.Seq{-x.shift[p][0], -x.shift[p][1]}
	for i := range marks {
		marks[i] = shifted(marks[i], back)
	}
	return marks
}

// compareMarks counts which of the first marks that one point has of a connection came to another for certain, and
// which of them are not among its own.
func (m *Merger) compareMarks(of *[kinds][2]lacks, x *conn, p, q int, own []detect.Mark) {
	others := m.marksOf(x, q)
	var acked [2]tcpstate.Seq // the other side's octets
	var has [2]bool
	for _, marks := range [...][]detect.Mark{own, others} {
		for _, y := range marks {
			if i := side(!y.FromLB); y.Ack != 0 && !y.Control.Has(tcpstate.RST) && (!has[i] || y.Ack.After(acked[i])) {
				acked[i], has[i] = y.Ack, true
			}
		}
	}
	for _, y := range others {
		i, k := side(y.FromLB), kindOf(y.Control, y.Len, y.FromLB)
		if y.Control.Has(tcpstate.RST) || y.Len == 0 && !y.SYN() || !m.captures(p)[k] {
			continue
		}
		arrived := has[i] && acked[i].After(y.Seq.Add(y.Len-min(y.Len, 1)))
		if passed := y.FromLB == (q > p); !passed && !arrived || !m.during(p, q, y.Time) {
			continue
		}
		n := &of[k][i]
		switch shows, known := amongMarks(own, &y); {
		case y.SYN():
			if n.of++; !m.Points[p].Result.Connections[x.at[p]].HasISN[i] {
				n.missing++
			}
		case shows:
			n.of++
		case known:
			n.of++
			n.missing++
		}
	}
}

// amongMarks reports whether what begins with a mark is in one of others, and whether it would be, if it had been captured: only the first
// ones are all kept, see detect.Connection.
func amongMarks(own []detect.Mark, x *detect.Mark) (shows, known bool) {
	n := 0
	known = true
	for i := range own {
		y := &own[i]
		if y.FromLB != x.FromLB || y.SYN() {
			continue
		}
		if y.Seq.AtOrBefore(x.Seq) && x.Seq.Before(y.Seq.Add(y.Len)) {
			return true, true
		}
		if n++; n == detect.FirstMarks {
			known = x.Seq.Before(y.Seq)
		}
	}
	return false, known
}
