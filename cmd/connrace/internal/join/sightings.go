package join

import (
	"slices"

	"connrace/detect"
	"connrace/tcpstate"
)

// sightings sum up what the outermost two points show.
func (s *scene) sightings() detect.Sightings {
	near, far := s.points[0], s.points[len(s.points)-1]
	g := detect.Sightings{LBName: s.Points[near].Name, TargetName: s.Points[far].Name}
	g.BehindLB, g.BeforeTarget = s.apart(near, true), s.apart(far, false)
	passage := func(fromLB bool, is func(*seg) bool) detect.Passage { return s.passage(near, far, fromLB, is) }
	var fin tcpstate.Seq
	g.SYN = passage(true, func(x *seg) bool { return x.flags&(ends3|tcpstate.ACK) == tcpstate.SYN })
	g.SYNACK = passage(false, func(x *seg) bool { return x.flags&(ends3|tcpstate.ACK) == tcpstate.SYN|tcpstate.ACK })
	g.FIN = passage(false, func(x *seg) bool {
		if !x.flags.Has(tcpstate.FIN) {
			return false
		}
		fin = x.seq.Add(x.len)
		return true
	})
	g.FIN.Acked = g.FIN.LB.Copies+g.FIN.Target.Copies > 0 && s.acked(false, fin)
	g.SYN.Acked = g.SYNACK.LB.Copies+g.SYNACK.Target.Copies > 0
	if rst, ok := s.rst(); ok {
		g.RSTBeyond = !rst.fromLB && s.beyond(far, &rst)
		g.RST = passage(rst.fromLB, func(x *seg) bool { return isCopy(&rst, x, true) })
	}
	requested := false
	for i := range s.f.Evidence {
		e := &s.f.Evidence[i]
		x, ok := s.find(s.pointOf(e), e)
		if !ok {
			continue
		}
		if e.Role == detect.RoleRequest && !requested {
			requested = true
			g.Request = s.octet(near, far, true, x.seq)
			g.Ack = passage(false, func(y *seg) bool {
				return y.flags.Has(tcpstate.ACK) && y.flags&tcpstate.RST == 0 && y.ack.After(x.seq)
			})
			g.Answer = s.answer(near, far, x.seq)
		}
		if e.Frame == s.f.Frame && e.Capture == s.f.Capture && x.len > 0 && x.flags&ends3 == 0 {
			g.Decisive = s.octet(near, far, x.fromLB, x.seq)
		}
	}
	if d := s.f.Decisive(&g); d.Lost() {
		g.Smallest, g.Largest = s.sizes(near, far, d.FromLB)
	}
	return g
}

// apart reports whether hops lie between a point and an end: what that sends has come there by way of routers, or the point
// is at the side of one.
func (s *scene) apart(p int, lb bool) bool {
	if s.Points[p].Behind && !lb || lb && p+1 < len(s.Points) && s.Points[p+1].Behind {
		return true
	}
	at := s.conns[s.conn].at[p]
	if at < 0 {
		return false
	}
	c := &s.Points[p].Result.Connections[at]
	host := c.Target.Addr
	if lb {
		host = c.LB.Addr
	}
	return s.distant(p, lb)[host]
}

// distant are the hosts at one end that hops lie before, as a point has them.
func (m *Merger) distant(p int, lb bool) map[tcpstate.Addr]bool {
	if m.hops == nil {
		m.hops = make([][2]map[tcpstate.Addr]bool, len(m.Points))
	}
	all := &m.hops[p][side(lb)]
	if *all != nil {
		return *all
	}
	*all = map[tcpstate.Addr]bool{}
	r := m.Points[p].Result
	cs := r.Connections
	var marks []detect.Mark
	for i := len(cs) - 1; i >= 0; i-- { // the newest of each host tells
		host := cs[i].Target.Addr
		if lb {
			host = cs[i].LB.Addr
		}
		if _, known := (*all)[host]; known {
			continue
		}
		marks = r.AppendMarks(marks[:0], &cs[i])
		for k := range marks {
			if x := &marks[k]; x.FromLB == lb && x.TTL != 0 && !x.Control.Has(tcpstate.RST) { // anybody may have sent an RST
				(*all)[host] = !isInitial(x.TTL)
				break
			}
		}
	}
	return *all
}

// isInitial reports whether a time to live is one with which systems send.
func isInitial(ttl uint8) bool { return ttl == 32 || ttl == 64 || ttl == 128 || ttl == 255 }

// answer is the passage of the first octet that answers the request that begins at q.
func (s *scene) answer(near, far int, q tcpstate.Seq) detect.Passage {
	var a tcpstate.Seq
	found := false
	for _, p := range [...]int{near, far} {
		for _, x := range s.segs(p) {
			if x = s.common(p, x); !x.fromLB && x.len > 0 && x.ack.After(q) && (!found || x.seq.Before(a)) {
				a, found = x.seq, true
			}
		}
	}
	if !found {
		return detect.Passage{}
	}
	return s.octet(near, far, false, a)
}

// octet is the passage of an octet, however often it was sent.
func (s *scene) octet(near, far int, fromLB bool, octet tcpstate.Seq) detect.Passage {
	g := s.passage(near, far, fromLB, func(x *seg) bool { return holds(x, octet) })
	g.Acked = s.acked(fromLB, octet)
	return g
}

// acked reports whether some point shows that the other end has an octet: that was not lost, though a
// capture may lack it.
func (s *scene) acked(fromLB bool, octet tcpstate.Seq) bool {
	return slices.ContainsFunc(s.points, func(p int) bool {
		return slices.ContainsFunc(s.segs(p), func(x seg) bool {
			x = s.common(p, x)
			return x.fromLB != fromLB && x.flags.Has(tcpstate.ACK) && x.flags&tcpstate.RST == 0 && x.ack.After(octet)
		})
	})
}

// beyond reports whether an RST in the target's name has another time to live at a point than all else that came
// from the target there.
func (s *scene) beyond(p int, rst *seg) bool {
	other := false
	for _, x := range s.segs(p) {
		if x = s.common(p, x); x.fromLB || x.flags.Has(tcpstate.RST) || x.ttl == 0 {
			continue
		}
		for _, r := range s.segs(p) {
			if r = s.common(p, r); isCopy(rst, &r, true) && (r.ttl == x.ttl || r.ttl == 0) {
				return false
			}
		}
		other = true
	}
	return other
}

// rst is the RST that the finding says something of.
func (s *scene) rst() (x seg, ok bool) {
	for _, decisive := range [...]bool{true, false} {
		for i := range s.f.Evidence {
			e := &s.f.Evidence[i]
			if !e.Flags.Has(tcpstate.RST) || decisive != (e.Frame == s.f.Frame && e.Capture == s.f.Capture) {
				continue
			}
			kind := s.f.Measures.RST
			if decisive || !e.FromLB && (s.f.Rule.About == detect.AboutHandshake || kind != "" && (kind == "active") == e.Flags.Has(tcpstate.ACK)) {
				if x, ok = s.find(s.pointOf(e), e); ok {
					return x, true
				}
			}
		}
	}
	return x, false
}

// passage counts the copies of a segment at two points.
func (s *scene) passage(near, far int, fromLB bool, is func(*seg) bool) detect.Passage {
	count := func(p, other int) (n detect.Sighted) {
		for _, x := range s.segs(p) {
			x = s.common(p, x)
			if x.fromLB != fromLB || !is(&x) {
				continue
			}
			if n.Copies++; n.Copies == 1 {
				n.Frame, n.In = x.frame, s.nameOf(p, x.capture)
			}
			if s.covered(other, p, &x) {
				n.Checked++
			}
		}
		return n
	}
	g := detect.Passage{FromLB: fromLB, LB: count(near, far), Target: count(far, near)}
	for _, x := range []struct {
		n     *detect.Sighted
		here  int
		other int
	}{{&g.LB, g.Target.Copies, far}, {&g.Target, g.LB.Copies, near}} {
		if absent := x.n.Checked - x.here; absent > 0 && s.lossy(x.other, s.conn, absent) {
			x.n.Checked = 0
		}
	}
	return g
}

// sizes are the smallest segment that was lost on a way, and the largest that arrived.
func (s *scene) sizes(near, far int, fromLB bool) (smallest, largest uint32) {
	from, to := near, far
	if !fromLB {
		from, to = far, near
	}
	for _, x := range s.segs(from) {
		x = s.common(from, x)
		if x.fromLB != fromLB || x.len == 0 || !s.looking(to, from, &x) {
			continue
		}
		if slices.ContainsFunc(s.segs(to), func(y seg) bool {
			y = s.common(to, y)
			return isCopy(&x, &y, false)
		}) {
			largest = max(largest, x.len)
		} else if smallest == 0 || x.len < smallest {
			smallest = x.len
		}
	}
	return smallest, largest
}
