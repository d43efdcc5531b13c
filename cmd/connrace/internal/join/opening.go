package join

import (
	"strings"

	"connrace/tcpstate"
)

// name names the request of an incident as the point does that has most of it: that whose finding is kept may have had a
// snap length that cut it off.
func (x *incident) name() {
	q := x.f.Request
	if q == nil || len(x.f.Requests) > 0 {
		return
	}
	for _, v := range x.views {
		o := v.f.Request
		if o == nil || len(v.f.Requests) > 0 || len(o.Path) <= len(q.Path) || !strings.HasPrefix(o.Path, q.Path) {
			continue
		}
		q.Method, q.Path, q.HTTPVersion = o.Method, o.Path, o.HTTPVersion
		if q.TraceID == "" {
			q.TraceID = o.TraceID
		}
		if q.RequestID == "" {
			q.RequestID = o.RequestID
		}
	}
}

// bySYN pairs connections that nobody answered, where a SYN is not the same at both points: one of the captures cut its timestamp off,
// neither has one, but for addresses they agree, and others show that the captures have connections in common, or a firewall
// replaces the LB's sequence numbers, as those of others show.
func (m *matcher) bySYN() {
	others := len(m.pairs) > 0
	m.byOpening(func(x, y *opening) bool {
		return x.seq == y.seq && ((x.stamp == 0) != (y.stamp == 0) || others && x.stamp == 0)
	},
		func(x *opening) (uint32, bool) { return uint32(x.seq), true })
	for i := range m.pairs {
		if m.pairs[i].shift[0] != 0 {
			m.byOpening(func(x, y *opening) bool { return x.seq != y.seq },
				func(x *opening) (uint32, bool) { return x.stamp, x.stamp != 0 })
			return
		}
	}
}

// opening is the first SYN of a connection that was not answered by one.
type opening struct {
	at    int
	seq   tcpstate.Seq
	stamp uint32
}

// openings are those of connections of one of the results that are not paired, by a key that no other of them has.
func (m *matcher) openings(of int, taken []bool, key func(*opening) (uint32, bool)) map[uint32]opening {
	by := map[uint32]opening{}
	for i := range m.of[of].Connections {
		c := &m.of[of].Connections[i]
		if taken[i] || !c.HasISN[0] || c.HasISN[1] {
			continue
		}
		for _, x := range m.marks(of, c) {
			if !x.FromLB || !x.SYN() {
				continue
			}
			o := opening{i, x.Seq, x.Stamp}
			if k, has := key(&o); has {
				if _, twice := by[k]; twice {
					o.at = -1
				}
				by[k] = o
			}
			break
		}
	}
	return by
}

func (m *matcher) byOpening(same func(x, y *opening) bool, key func(*opening) (uint32, bool)) {
	as := m.openings(0, m.takenA, key)
	if len(as) == 0 {
		return
	}
	bs := m.openings(1, m.takenB, key)
	for k, x := range as {
		if y, is := bs[k]; is && x.at >= 0 && y.at >= 0 && same(&x, &y) {
			m.add(pair{a: x.at, b: y.at, shift: [2]tcpstate.Seq{y.seq - x.seq}})
		}
	}
}
