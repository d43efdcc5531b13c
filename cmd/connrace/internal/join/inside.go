package join

import (
	"cmp"
	"maps"
	"slices"

	"connrace/detect"
)

// straighten puts each connection that one capture shows twice where it belongs, and says which they are. Of one that began
// before the capture the first segment may have been the target's, and then what came first was seen behind the translation; or
// the capture lacks one of its first two segments, and then none was taken for the other.
func straighten(near, behind *detect.Result) []pair {
	pairs := match(near, behind)
	out, back := newMove(near, behind), newMove(behind, near)
	for _, p := range pairs {
		x, y := &near.Connections[p.a], &behind.Connections[p.b]
		if begun(x) && begun(y) || !isBehind(near, behind, p) {
			continue
		}
		out.connection(x)
		back.connection(y)
		*x, *y = *y, *x
	}
	if again := again(near, pairs); len(again) > 0 {
		for _, i := range again {
			out.connection(&near.Connections[i])
			behind.Connections = append(behind.Connections, near.Connections[i])
		}
		slices.SortStableFunc(behind.Connections, func(a, b detect.Connection) int { return cmp.Compare(a.First, b.First) })
		i := -1
		near.Connections = slices.DeleteFunc(near.Connections, func(detect.Connection) bool { i++; return slices.Contains(again, i) })
		pairs = match(near, behind)
	}
	if len(out.moved) == 0 {
		return pairs
	}
	there, here := out.findings(), back.findings()
	out.arrive(there)
	back.arrive(here)
	near.Targets = slices.DeleteFunc(near.Targets, func(t detect.Target) bool { return t.Connections == 0 && t.Tries == (detect.Tries{}) })
	return pairs
}

// stream is one of a capture.
type stream struct {
	capture int
	stream  uint32
}

// mostUnpaired bounds those that are looked for without having been recognised: that is for want of one segment.
const mostUnpaired = 1 << 10

// again are the places of connections that are not paired, and are others of those, behind the translation.
func again(r *detect.Result, pairs []pair) (places []int) {
	all := r.Connections
	paired := make([]bool, len(all))
	for _, p := range pairs {
		paired[p.a] = true
	}
	first := map[markKey]int{}
	for i := range all {
		if paired[i] {
			continue
		}
		shared := map[int]int{}
		for _, x := range r.AppendMarks(nil, &all[i]) {
			key := keyOf(&x, &all[i], false)
			j, is := first[key]
			if !is {
				first[key] = i
			} else if j != i && !paired[j] && !sameEnds(&all[i], &all[j]) {
				shared[j]++
			}
		}
		for _, j := range slices.Sorted(maps.Keys(shared)) {
			n := shared[j]
			if n < enough && n < fewest(&all[i], &all[j]) || paired[i] || len(places) == mostUnpaired {
				continue
			}
			paired[i], paired[j] = true, true
			if isBehind(r, r, pair{a: i, b: j}) {
				j = i
			}
			places = append(places, j)
		}
	}
	return places
}

// isBehind reports whether of a connection that one capture shows twice the first is that behind the translation: segments of
// the LB have fewer hops to live there, or came there later.
func isBehind(a, b *detect.Result, p pair) bool {
	s := sampled(a, b, []pair{p})
	if first, known := s.byHops(); known {
		return !first
	}
	n := 0
	for _, x := range s.up {
		n += sign(x.ahead)
	}
	for _, x := range s.down {
		n -= sign(x.ahead)
	}
	return n < 0
}

func sign(n int64) int { return int(max(min(n, 1), -1)) }

// move moves what one result has of connections to another: their part of the figures, and their findings, of all at once. The
// rows of targets say as much as can be told: what else they hold of a connection stays where it is.
type move struct {
	from, to *detect.Result
	moved    map[stream]bool
}

func newMove(from, to *detect.Result) *move { return &move{from, to, map[stream]bool{}} }

// connection moves the figures of a connection.
func (m *move) connection(c *detect.Connection) {
	m.moved[stream{c.Capture, c.Stream}] = true
	from, to := m.from, m.to
	n := sums{}
	n.add(c)
	row, o := from.Row(c.Target), to.Row(c.Target)
	if row == nil {
		return
	}
	if o == nil {
		to.Targets = append(to.Targets, detect.Target{Target: c.Target, LBs: row.LBs, Vantage: row.Vantage})
		o = to.Row(c.Target)
	}
	for _, x := range []struct {
		from, to *uint64
		n        uint64
	}{
		{&row.Connections, &o.Connections, n.connections},
		{&row.Requests, &o.Requests, n.requests},
		{&row.Answers5xx, &o.Answers5xx, n.answers5xx},
		{&from.Totals.Flows, &to.Totals.Flows, n.connections},
		{&from.Totals.Requests, &to.Totals.Requests, n.requests},
		{&from.Totals.Answers5xx, &to.Totals.Answers5xx, n.answers5xx},
	} {
		by := min(*x.from, x.n)
		*x.from -= by
		*x.to += by
	}
}

// findings takes those of the connections out of the one result.
func (m *move) findings() (fs []*detect.Finding) {
	m.from.Findings = slices.DeleteFunc(m.from.Findings, func(f *detect.Finding) bool {
		its := f.HasStream && m.moved[stream{f.Capture, f.Stream}]
		if its {
			fs = append(fs, f)
			m.from.Leave(f.Target, f.Tries())
		}
		return its
	})
	return fs
}

// arrive puts them into the other.
func (m *move) arrive(fs []*detect.Finding) {
	for _, f := range fs {
		m.to.Tally(f.Target, f.Tries())
	}
	m.to.Findings = append(m.to.Findings, fs...)
	slices.SortStableFunc(m.to.Findings, func(a, b *detect.Finding) int { return cmp.Compare(a.Time, b.Time) })
}
