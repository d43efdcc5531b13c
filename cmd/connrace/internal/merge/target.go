package merge

import (
	"cmp"
	"slices"

	"connrace/cmd/connrace/internal/report"
	"connrace/detect"
	"connrace/tcpstate"
)

// homes are the reports that have a target with an address that other boxes may have too, by when
// they watched: a private address, or one that means the host itself.
type homes map[tcpstate.Endpoint]*home

type home struct {
	watched []span // by reports that were taken for the same box
	atOnce  bool   // there are several boxes with the address
}

// span is a time in which a report watched.
type span struct {
	first, last int64
	atTarget    bool // on the target's own host
}

// mostSpans bounds what is known of one address.
const mostSpans = 64

// another reports whether a report's target is another box than the one of that address that
// earlier reports have: on the host itself it always is. Two that watched at the same time, each on
// the target's own host, were on two hosts: nobody captures twice there. From then on nothing tells
// which of them a report is about. Targets that were not told apart have no address.
func (m *reading) another(t *detect.Target) bool {
	if t.Target == (tcpstate.Endpoint{}) {
		return false
	}
	a := t.Target.Addr.Netip()
	local := a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified()
	if !local && !a.IsPrivate() || m.apart[t.Target] {
		return m.apart[t.Target]
	}
	now := span{atTarget: t.Vantage == "target"}
	for _, c := range m.r.Captures[min(m.base, len(m.r.Captures)):] {
		if c.First != 0 && (now.first == 0 || c.First < now.first) {
			now.first = c.First
		}
		now.last = max(now.last, c.Last)
	}
	h := m.homes[t.Target]
	if h == nil {
		if len(m.homes) < mostTargets {
			m.homes[t.Target] = &home{watched: []span{now}}
		}
		return false
	}
	h.atOnce = h.atOnce || slices.ContainsFunc(h.watched, func(s span) bool {
		return s.atTarget && now.atTarget && s.first < now.last && now.first < s.last
	})
	if local || h.atOnce {
		return true
	}
	if len(h.watched) < mostSpans {
		h.watched = append(h.watched, now)
	}
	m.shared[t.Target.String()] = true
	return false
}

// target adds the figures of a target to those that other reports have of it.
func (m *reading) target(d *report.TargetDoc) error {
	x, err := d.Figures()
	if err != nil {
		return err
	}
	x.Timers = timers(&x)
	if m.another(&x) && len(m.all.captures) > m.base && (m.own != nil || len(m.Merger.own) < mostOwn) {
		if m.own == nil {
			p := newPart(mostOwnKinds)
			p.captures = m.all.captures[m.base:]
			p.result.ExactStreams = m.all.result.ExactStreams[m.base:]
			m.own = &p
		}
		m.apart[x.Target] = true
	}
	m.put(m.partOf(x.Target), &x)
	return nil
}

// put adds a target to a part.
func (m *reading) put(p *part, x *detect.Target) {
	i, known := p.targets[x.Target]
	if !known && m.told >= mostTargets {
		x.Target, x.LBs, x.Advice = tcpstate.Endpoint{}, nil, nil
		p.result.Totals.MergedConnections += x.Connections
		i, known = p.targets[x.Target]
	}
	if !known {
		m.told++
		p.targets[x.Target] = len(p.result.Targets)
		p.result.Targets = append(p.result.Targets, *x)
		return
	}
	join(&p.result.Targets[i], x)
}

// timers are the two idle timeouts, as far as they are known.
func timers(t *detect.Target) (x detect.Timers) {
	if t.Idle != nil {
		x.Target = t.Idle.NS
	}
	if t.LBIdle != nil {
		x.LB = t.LBIdle.NS
	}
	return x
}

// join adds what another report says of a target. What cannot be added is that of the report with
// the most to go by.
func join(t, x *detect.Target) {
	if x.Requests > t.Requests {
		t.RTTMedian, t.RTTP99 = x.RTTMedian, x.RTTP99
		t.Exposure, t.HasExposure = x.Exposure, x.HasExposure
	}
	t.Connections += x.Connections
	t.Requests += x.Requests
	t.Tries.Add(x.Tries, 1)
	t.Answers5xx += x.Answers5xx
	t.NearMisses += x.NearMisses
	if t.Vantage != x.Vantage {
		t.Vantage = "unknown"
	}
	if x.LongestReuse.Known && (!t.LongestReuse.Known || x.LongestReuse.NS > t.LongestReuse.NS) {
		t.LongestReuse = x.LongestReuse
	}
	t.Idle, t.LBIdle = surer(t.Idle, x.Idle), surer(t.LBIdle, x.LBIdle)
	t.Timers = timers(t)
	h, o := &t.Handshakes, &x.Handshakes
	h.Attempted += o.Attempted
	h.Completed += o.Completed
	h.Refused += o.Refused
	h.Unanswered += o.Unanswered
	h.Pending += o.Pending
	h.SYNRetransmissions += o.SYNRetransmissions
	h.MaxWaiting = max(h.MaxWaiting, o.MaxWaiting)
	t.LBs = union(t.LBs, x.LBs, mostLBs)
	t.Advice = union(t.Advice, x.Advice, mostAdvice)
	if l := t.Listener; l != nil && x.Listener != nil {
		l.MaxQueue = max(l.MaxQueue, x.Listener.MaxQueue)
	}
	t.Listener = cmp.Or(t.Listener, x.Listener)
	t.Server, t.LB = same(t.Server, x.Server), same(t.LB, x.LB)
}

// surer is the timeout that rests on more.
func surer(a, b *detect.Timeout) *detect.Timeout {
	if a == nil || b != nil && b.Samples > a.Samples {
		return b
	}
	return a
}

// several is the software of a target about which reports differ, while they are read.
var several = &detect.Software{}

// same is the software, unless reports differ in it.
func same(a, b *detect.Software) *detect.Software {
	if a != nil && b != nil && a.Name != b.Name {
		return several
	}
	return cmp.Or(a, b)
}

// union is both lists without what is twice, as far as there is room.
func union[T comparable](a, b []T, most int) []T {
	for _, v := range b {
		if len(a) < most && !slices.Contains(a, v) {
			a = append(a, v)
		}
	}
	return a
}
