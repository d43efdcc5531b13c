package join

import (
	"cmp"
	"slices"

	"connrace/detect"
	"connrace/tcpstate"
)

// figures are those of a case without its findings: of connections that several points have
// those of the one nearest to the LB.
func (c *Case) figures() *detect.Result {
	r := &detect.Result{}
	names := c.names()
	for p := range c.Points {
		x := c.Points[p].Result
		again := c.again(p)
		if x.ConnectionsCut {
			again.presume(r, x, names[p])
		}
		addTotals(&r.Totals, x.Totals, again.all)
		for i := range x.Targets {
			addTarget(r, &x.Targets[i], names[p], again.of[x.Targets[i].Target])
		}
		for _, s := range x.Streams {
			s.Capture += len(r.ExactStreams)
			r.Streams = append(r.Streams, s)
		}
		r.StreamsCut = r.StreamsCut || x.StreamsCut
		addExchanges(r, x.Exchanges, names[p], len(r.ExactStreams))
		r.ExactStreams = append(r.ExactStreams, exact(x, len(c.Points[p].Spans))...)
		for _, g := range x.Forgotten {
			g.Target = c.named(p, g.Target)
			r.Forgotten = append(r.Forgotten, g)
		}
	}
	return r
}

// recall takes out of the findings that a point only counts those that another point has whole.
func (m *Merger) recall() {
	counted := make([]map[tcpstate.Endpoint][]*detect.Group, len(m.Points)) // by target, as the point names it
	for p := range m.Points {
		counted[p] = map[tcpstate.Endpoint][]*detect.Group{}
		gs := m.Points[p].Result.Forgotten
		for i := range gs {
			counted[p][gs[i].Target] = append(counted[p][gs[i].Target], &gs[i])
		}
	}
	for _, x := range m.incidents {
		if x.conn < 0 || len(x.views) != 1 {
			continue
		}
		for p, at := range m.conns[x.conn].at {
			if at < 0 || p == x.point {
				continue
			}
			r := m.Points[p].Result
			t := r.Connections[at].Target
			if !recall(r, x.f, counted[p][t]) {
				recall(r, x.f, counted[p][tcpstate.Endpoint{}]) // of too many targets those stand together
			}
		}
	}
	for p := range m.Points {
		r := m.Points[p].Result
		r.Forgotten = slices.DeleteFunc(r.Forgotten, func(g detect.Group) bool { return g.Count == 0 })
	}
}

// recall takes one that is like a finding out of groups, and best one by the same rule.
func recall(r *detect.Result, f *detect.Finding, groups []*detect.Group) bool {
	var g *detect.Group
	for _, o := range groups {
		if o.Count > 0 && o.Lost == f.Lost && o.Severity == f.Severity && (g == nil || o.Rule == f.Rule && g.Rule != f.Rule) {
			g = o
		}
	}
	if g == nil {
		return false
	}
	was := g.Tries
	g.Tries.Add(f.Tries(), -1)
	r.Leave(g.Target, was)
	r.Tally(g.Target, g.Tries)
	if g.Count--; g.Count == 0 {
		r.Leave(g.Target, g.Tries)
	}
	return true
}

// forget keeps findings of a target that are only counted as the point has them that has most. Of which
// connections they are is not known, and points may call them differently.
func (m *Merger) forget() {
	type of struct {
		point int
		n     uint64
	}
	best := map[tcpstate.Endpoint]of{}
	for p := range m.Points {
		sums := map[tcpstate.Endpoint]uint64{}
		for _, g := range m.Points[p].Result.Forgotten {
			sums[m.named(p, g.Target)] += g.Count
		}
		for t, n := range sums {
			if n > best[t].n {
				best[t] = of{p, n}
			}
		}
	}
	for p := range m.Points {
		r := m.Points[p].Result
		r.Forgotten = slices.DeleteFunc(r.Forgotten, func(g detect.Group) bool {
			other := best[m.named(p, g.Target)].point != p
			if other {
				r.Leave(g.Target, g.Tries)
			}
			return other
		})
	}
}

// exact is ExactStreams of as many captures as a point has.
func exact(x *detect.Result, n int) []uint32 {
	out := slices.Clone(x.ExactStreams)
	for len(out) < n {
		out = append(out, ^uint32(0))
	}
	return out[:n]
}

// sums are what connections count.
type sums struct{ connections, requests, answers5xx uint64 }

func (s *sums) add(c *detect.Connection) {
	s.connections++
	s.requests += uint64(c.Requests)
	s.answers5xx += uint64(c.Answers5xx)
}

// repeated are the connections of a point that one nearer to the LB has, too.
type repeated struct {
	all sums
	of  map[tcpstate.Endpoint]*sums // by target, as the point names it
}

func (c *Case) again(p int) repeated {
	r := repeated{of: map[tcpstate.Endpoint]*sums{}}
	for i := range c.conns {
		at := c.conns[i].at
		if at[p] < 0 || !slices.ContainsFunc(at[:p], func(i int) bool { return i >= 0 }) {
			continue
		}
		x := &c.Points[p].Result.Connections[at[p]]
		if x.Late { // see presume
			continue
		}
		r.all.add(x)
		of := r.of[x.Target]
		if of == nil {
			of = &sums{}
			r.of[x.Target] = of
		}
		of.add(x)
	}
	return r
}

// presume takes as many of the connections that are not listed for repeated as of those that are:
// of each target that a point nearer to the LB has, too.
func (a *repeated) presume(r, x *detect.Result, names map[tcpstate.Endpoint]tcpstate.Endpoint) {
	listed := map[tcpstate.Endpoint]*sums{}
	for i := range x.Connections {
		if x.Connections[i].Late {
			continue
		}
		t := x.Connections[i].Target
		if listed[t] == nil {
			listed[t] = &sums{}
		}
		listed[t].add(&x.Connections[i])
	}
	for i := range x.Targets {
		t := &x.Targets[i]
		name := t.Target
		if n, is := names[name]; is {
			name = n
		}
		row, of, l := r.Row(name), a.of[t.Target], listed[t.Target]
		if row == nil || of == nil {
			continue
		}
		for _, n := range []struct {
			all, of              *uint64
			listed, here, nearer uint64
		}{
			{&a.all.connections, &of.connections, l.connections, t.Connections, row.Connections},
			{&a.all.requests, &of.requests, l.requests, t.Requests, row.Requests},
			{&a.all.answers5xx, &of.answers5xx, l.answers5xx, t.Answers5xx, row.Answers5xx},
		} {
			if n.listed == 0 {
				continue
			}
			more := min(less(n.here, n.listed)**n.of/n.listed, less(n.nearer, *n.of))
			*n.all += more
			*n.of += more
		}
	}
}

// less is a without b, and never below zero.
func less(a, b uint64) uint64 { return a - min(a, b) }

// addTotals adds those of a point, without what was counted.
func addTotals(t *detect.Totals, x detect.Totals, again sums) {
	first := t.Segments == 0
	t.Segments += x.Segments
	t.Streams += x.Streams
	t.Requests += less(x.Requests, again.requests)
	t.Answers5xx += less(x.Answers5xx, again.answers5xx)
	t.Tries.Add(x.Tries, 1)
	t.EvictedFlows += x.EvictedFlows
	t.EvictedTargets = max(t.EvictedTargets, x.EvictedTargets)
	t.MergedConnections = max(t.MergedConnections, x.MergedConnections)
	t.UnfollowedStreams = max(t.UnfollowedStreams, x.UnfollowedStreams)
	rest := less(x.Flows, again.connections)
	t.Flows += rest
	// Not known by connection: what the fuller view says.
	for _, n := range []struct{ to, from *uint64 }{
		{&t.RSTAfterFIN.Total, &x.RSTAfterFIN.Total},
		{&t.RSTAfterFIN.Explained, &x.RSTAfterFIN.Explained},
		{&t.OneDirection, &x.OneDirection},
		{&t.NoHandshake, &x.NoHandshake},
		{&t.NoPayload, &x.NoPayload},
		{&t.HTTP2InTLS, &x.HTTP2InTLS},
		{&t.HTTP2Unread, &x.HTTP2Unread},
		{&t.OtherProtocols, &x.OtherProtocols},
	} {
		*n.to = max(*n.to, *n.from)
	}
	if first {
		t.Undecided = x.Undecided
	} else if rest == 0 {
		t.Undecided = min(t.Undecided, x.Undecided)
	} else {
		t.Undecided = max(t.Undecided, x.Undecided)
	}
	if first {
		t.Leaps = x.Leaps
	}
	for _, s := range x.Scans {
		if !slices.Contains(t.Scans, s) {
			t.Scans = append(t.Scans, s)
		}
	}
}

// addTarget adds the figures of a target as a point shows it.
func addTarget(r *detect.Result, x *detect.Target, names map[tcpstate.Endpoint]tcpstate.Endpoint, again *sums) {
	name := x.Target
	if n, is := names[name]; is {
		name = n
	}
	t := r.Row(name)
	if t == nil {
		r.Targets = append(r.Targets, *x)
		r.Targets[len(r.Targets)-1].Target = name
		return
	}
	if again == nil {
		again = &sums{}
	}
	t.Connections += less(x.Connections, again.connections)
	t.Requests += less(x.Requests, again.requests)
	t.Answers5xx += less(x.Answers5xx, again.answers5xx)
	t.Tries.Add(x.Tries, 1)
	if x.Idle != nil {
		t.Idle, t.NearMisses, t.Exposure, t.HasExposure = x.Idle, x.NearMisses, x.Exposure, x.HasExposure // its own timer is best seen there
	}
	t.LBIdle = cmp.Or(t.LBIdle, x.LBIdle)
	t.Listener, t.Server, t.LB = cmp.Or(t.Listener, x.Listener), cmp.Or(t.Server, x.Server), cmp.Or(t.LB, x.LB)
	if len(t.Advice) == 0 {
		t.Advice = x.Advice
	}
	if t.Reuses == nil {
		t.Reuses, t.TargetCloses, t.LBCloses = x.Reuses, x.TargetCloses, x.LBCloses
	}
	if !t.RTTMedian.Known {
		t.RTTMedian, t.RTTP99 = x.RTTMedian, x.RTTP99
	}
}

// addExchanges adds what a log is compared with, of targets that no point nearer to the LB has.
func addExchanges(r *detect.Result, x *detect.Exchanges, names map[tcpstate.Endpoint]tcpstate.Endpoint, capture int) {
	if x == nil {
		return
	}
	if r.Exchanges == nil {
		c := *x
		r.Exchanges = &c
		return
	}
	for t, s := range x.Seconds {
		if _, is := names[t]; !is && r.Exchanges.Seconds[t] == nil {
			r.Exchanges.Seconds[t] = s
		}
	}
	for _, e := range x.Errors {
		if _, is := names[e.Target]; !is {
			e.Capture += capture
			r.Exchanges.Errors = append(r.Exchanges.Errors, e)
		}
	}
	slices.SortStableFunc(r.Exchanges.Errors, func(a, b detect.ServerError) int { return cmp.Compare(a.Time, b.Time) })
	r.Exchanges.Incomplete = r.Exchanges.Incomplete || x.Incomplete
}
