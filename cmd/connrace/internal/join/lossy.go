package join

import (
	"math"

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
		m.lost[p] = &lacks{}
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
