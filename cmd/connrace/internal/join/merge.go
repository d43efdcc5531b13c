package join

import (
	"cmp"
	"slices"

	"connrace/detect"
	"connrace/tcpstate"
)

// incident is what the findings of several points say of one thing that went wrong.
type incident struct {
	conn  int32 // place in Case.conns; -1: a target as a whole
	point int   // whose finding is kept
	f     *detect.Finding
	views []view

	trails []*trail // by point; nil: it does not have the connection
}

// view is a finding of one point.
type view struct {
	point int
	f     *detect.Finding
}

// Merger makes one result of those of a case.
type Merger struct {
	*Case
	look      *Look
	incidents []*incident
	seen      map[[2]int32]*trail         // by connection and point
	lost      []*lacks                    // see lossy
	kinds     []*[kinds]bool              // see captures
	hops      [][2]map[tcpstate.Addr]bool // see distant
}

// Merge groups the findings of a case, and says what is to be looked at again.
func (c *Case) Merge() *Merger {
	m := &Merger{Case: c, look: newLook(), seen: map[[2]int32]*trail{}}
	m.group()
	for _, x := range m.incidents {
		m.follow(x)
	}
	return m
}

// Look is what is to be read again before Result is asked for.
func (m *Merger) Look() *Look { return m.look }

// group puts findings about the same together, and chooses which is kept.
func (m *Merger) group() {
	type key struct {
		conn   int32
		what   detect.Incident
		target tcpstate.Endpoint // of a target as a whole, as the first point names it
	}
	by := map[key]*incident{}
	for p := range m.Points {
		find := m.finder(p)
		taken := map[*incident]bool{}
		for _, f := range m.Points[p].Result.Findings {
			k := key{conn: find(f), what: f.Incident()}
			if k.conn < 0 {
				k.target = m.named(p, f.Target)
			} else if k.what.HasSeq {
				k.what.Request -= m.conns[k.conn].shift[p][0]
			}
			x := by[k]
			if x == nil || taken[x] || k.conn < 0 && f.HasStream {
				x = &incident{conn: k.conn, point: p, f: f}
				if by[k] == nil {
					by[k] = x
				}
				m.incidents = append(m.incidents, x)
			} else if f.Knows(x.f) {
				x.point, x.f = p, f
			}
			taken[x] = true
			x.views = append(x.views, view{p, f})
		}
	}
	m.unify()
}

// unify makes one incident of those that different points tell of one try in different ways: one of them has not
// captured the request, or not its beginning, or only some of the streams that a close cut off.
func (m *Merger) unify() {
	of := map[int32][]*incident{}
	m.incidents = slices.DeleteFunc(m.incidents, func(x *incident) bool {
		if x.conn < 0 || !x.f.Lost && !x.f.Open {
			return false
		}
		for _, o := range of[x.conn] {
			if !o.apart(x) || !o.f.SameTry(x.f) {
				continue
			}
			if x.f.Knows(o.f) {
				o.point, o.f = x.point, x.f
			}
			o.views = append(o.views, x.views...)
			return true
		}
		of[x.conn] = append(of[x.conn], x)
		return false
	})
}

// apart reports whether no point has a finding of both incidents.
func (x *incident) apart(o *incident) bool {
	return !slices.ContainsFunc(x.views, func(v view) bool {
		return slices.ContainsFunc(o.views, func(w view) bool { return v.point == w.point })
	})
}

// finder finds the connection of a finding of a point; -1: it is about none that is known.
func (m *Merger) finder(p int) func(*detect.Finding) int32 {
	all := m.Points[p].Result.Connections
	newest := map[ends]int32{}   // + 1, of the connections between ends that findings are about
	ports := make([]bool, 1<<16) // of those, the two of each as one number: nearly all others are told apart by it
	for _, f := range m.Points[p].Result.Findings {
		if f.HasStream {
			newest[endsOf(f.LB, f.Target)] = 0
			ports[f.LB.Port^f.Target.Port] = true
		}
	}
	before := make([]int32, len(all)) // between the same ends, + 1
	for i := range all {
		c := &all[i]
		if !ports[c.LB.Port^c.Target.Port] {
			continue
		}
		k := endsOf(c.LB, c.Target)
		if last, wanted := newest[k]; wanted {
			before[i] = last
			newest[k] = int32(i + 1)
		}
	}
	return func(f *detect.Finding) int32 {
		if !f.HasStream {
			return -1
		}
		exact, last := int32(0), int32(0)
		for i := newest[endsOf(f.LB, f.Target)]; i > 0; i = before[i-1] {
			c := &all[i-1]
			if c.Capture == f.Capture && c.Stream == f.Stream {
				exact = i
			}
			if last == 0 && c.First <= f.Time {
				last = i
			}
		}
		if exact = cmp.Or(exact, last); exact == 0 {
			return -1
		}
		return m.classOf[p][exact-1]
	}
}

// named is what the first point calls a target that another point names so.
func (c *Case) named(p int, t tcpstate.Endpoint) tcpstate.Endpoint {
	if p == 0 {
		return t
	}
	if n := c.names()[p][t]; n != (tcpstate.Endpoint{}) {
		return n
	}
	return t
}

// names are, for each point, the targets as the point nearest to the LB that has them calls them.
func (c *Case) names() []map[tcpstate.Endpoint]tcpstate.Endpoint {
	if c.called != nil {
		return c.called
	}
	c.called = make([]map[tcpstate.Endpoint]tcpstate.Endpoint, len(c.Points))
	c.hosts = make([]map[tcpstate.Addr]bool, len(c.Points))
	for p := range c.called {
		c.called[p], c.hosts[p] = map[tcpstate.Endpoint]tcpstate.Endpoint{}, map[tcpstate.Addr]bool{}
	}
	for i := range c.conns {
		first := tcpstate.Endpoint{}
		for p, at := range c.conns[i].at {
			if at < 0 {
				continue
			}
			t := c.Points[p].Result.Connections[at].Target
			if first == (tcpstate.Endpoint{}) {
				first = t
			} else if _, has := c.called[p][t]; !has {
				c.called[p][t], c.hosts[p][first.Addr] = first, true
			}
		}
	}
	return c.called
}

// follow asks for the connection of an incident at all points that have it.
func (m *Merger) follow(x *incident) {
	if x.conn < 0 || x.f.Severity == detect.Info {
		return
	}
	from, to := x.f.Time, x.f.Time
	for i := range x.f.Evidence {
		from, to = min(from, x.f.Evidence[i].Time), max(to, x.f.Evidence[i].Time)
	}
	x.trails = make([]*trail, len(m.Points))
	for p, at := range m.conns[x.conn].at {
		if at < 0 {
			continue
		}
		ahead, off, known := m.Links.Ahead(x.point, p, from)
		if !known {
			continue
		}
		c := &m.Points[p].Result.Connections[at]
		k := [2]int32{x.conn, int32(p)}
		t := m.seen[k]
		if t == nil {
			t = &trail{lb: c.LB}
			m.seen[k] = t
		}
		x.trails[p] = t
		m.look.follow(t, &m.Points[p], c.LB, c.Target, window{from + ahead - off, to + ahead + off})
	}
}

// Result is the result of the case, when all captures that Look names have been read. Captures
// are counted through, point by point.
func (m *Merger) Result() *detect.Result {
	first := make([]int, len(m.Points)) // of each point's captures
	for p := 1; p < len(m.Points); p++ {
		first[p] = first[p-1] + len(m.Points[p-1].Spans)
	}
	for p := range m.Points {
		for _, f := range m.Points[p].Result.Findings {
			m.Points[p].Result.Leave(f.Target, f.Tries())
		}
	}
	for i := range m.Links {
		m.Links[i].pairs = nil
	}
	m.recall()
	m.forget()
	m.number(first)
	r := m.figures()
	for _, x := range m.incidents {
		x.name()
		for _, v := range x.views {
			x.f.Ends(v.f)
		}
		m.judge(x, first)
		r.Findings = append(r.Findings, x.f)
		r.Tally(x.f.Target, x.f.Tries())
	}
	slices.SortStableFunc(r.Findings, func(a, b *detect.Finding) int {
		return cmp.Compare(m.common(a, first), m.common(b, first))
	})
	for i, f := range r.Findings {
		f.ID = i + 1
	}
	return r
}

// number lets findings count captures through, and name ends as the point nearest to the LB does.
func (m *Merger) number(first []int) {
	for _, x := range m.incidents {
		by := first[x.point]
		x.f.Capture += by
		for i := range x.f.Evidence {
			x.f.Evidence[i].Capture += by
		}
		if x.f.IdleFrom != nil {
			x.f.IdleFrom.Capture += by
		}
		if x.conn < 0 {
			x.f.Target = m.named(x.point, x.f.Target)
			continue
		}
		for p, at := range m.conns[x.conn].at {
			if at >= 0 {
				r := m.Points[p].Result
				c := &r.Connections[at]
				x.f.Views = append(x.f.Views, detect.View{
					Point: first[p], Capture: first[p] + c.Capture, Stream: c.Stream, Inexact: c.Capture < len(r.ExactStreams) && c.Stream >= r.ExactStreams[c.Capture],
					LB: c.LB, Target: c.Target,
				})
			}
		}
		x.f.LB, x.f.Target = x.f.Views[0].LB, x.f.Views[0].Target
	}
}

// common is the time of a finding by the clock of the first point.
func (m *Merger) common(f *detect.Finding, first []int) int64 {
	p := 0
	for p+1 < len(first) && f.Capture >= first[p+1] {
		p++
	}
	ahead, _, _ := m.Links.Ahead(p, 0, f.Time)
	return f.Time + ahead
}
