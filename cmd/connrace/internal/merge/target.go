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
	report  int    // the last that has it, by its number
	whole   bool   // that report tells of it, where it does first, for all of its captures together
}

// span is a time in which a report watched.
type span struct {
	first, last int64
	atTarget    bool // on the target's own host
}

// mostSpans bounds what is known of one address.
const mostSpans = 64

// place is the part to which the figures of a target belong that a report has of some of its
// captures. Targets that were not told apart have no address.
func (m *reading) place(t *detect.Target, of []int) *part {
	a := t.Target.Addr.Netip()
	local := a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified()
	if t.Target == (tcpstate.Endpoint{}) || !local && !a.IsPrivate() {
		return &m.all
	}
	whole := len(of) == len(m.all.captures)-m.base
	room := len(m.all.captures) > m.base && len(m.Merger.own)+len(m.sole) < mostOwn
	now := m.watched(t, of)
	h := m.homes[t.Target]
	switch {
	case h == nil:
		if len(m.homes) < mostTargets {
			m.homes[t.Target] = &home{watched: []span{now}, report: m.number, whole: whole}
		}
	case h.report == m.number: // a merged report has it twice where it tells boxes apart
		if (local || h.whole) && !whole && room {
			h.atOnce = true
			return m.soleOf(of)
		}
		h.watch(now)
	default:
		h.report, h.whole = m.number, whole
		if !h.another(now, local) {
			m.shared[t.Target.String()] = true
		} else if room || m.own != nil {
			if m.own == nil {
				m.own = m.partWith(m.all.captures[m.base:])
			}
			m.apart[t.Target] = true
		}
	}
	return m.partOf(t.Target, -1)
}

// watched is when a target was watched by captures, and where.
func (m *reading) watched(t *detect.Target, by []int) span {
	s := span{atTarget: t.Vantage == "target"}
	for _, i := range by {
		c := &m.r.Captures[i]
		if c.First != 0 && (s.first == 0 || c.First < s.first) {
			s.first = c.First
		}
		s.last = max(s.last, c.Last)
	}
	return s
}

// another reports whether a report's target is another box than the one of that address that
// earlier reports have: on the host itself it always is. Two that watched at the same time, each on
// the target's own host, were on two hosts: nobody captures twice there. From then on nothing tells
// which of them a report is about.
func (h *home) another(now span, local bool) bool {
	h.atOnce = h.atOnce || slices.ContainsFunc(h.watched, func(s span) bool {
		return s.atTarget && now.atTarget && s.first < now.last && now.first < s.last
	})
	if local || h.atOnce {
		return true
	}
	h.watch(now)
	return false
}

func (h *home) watch(s span) {
	if len(h.watched) < mostSpans {
		h.watched = append(h.watched, s)
	}
}

// partWith is a part with captures of the report.
func (m *reading) partWith(captures []int) *part {
	p := newPart(mostOwnKinds)
	p.captures = captures
	for _, i := range captures {
		p.result.ExactStreams = append(p.result.ExactStreams, m.all.result.ExactStreams[i])
	}
	return &p
}

// soleOf is the part of captures for which the report itself tells of boxes apart.
func (m *reading) soleOf(captures []int) *part {
	for _, p := range m.sole {
		if slices.Equal(p.captures, captures) {
			return p
		}
	}
	m.sole = append(m.sole, m.partWith(captures))
	return m.sole[len(m.sole)-1]
}

// partOf is where what concerns a target belongs, seen by a capture; -1: it is not known by which.
func (m *reading) partOf(e tcpstate.Endpoint, capture int) *part {
	var sole *part
	for _, p := range m.sole {
		_, by := slices.BinarySearch(p.captures, capture)
		if _, known := p.targets[e]; known && by && (sole == nil || len(p.captures) < len(sole.captures)) {
			sole = p
		}
	}
	switch {
	case sole != nil:
		return sole
	case m.apart[e]:
		return m.own
	}
	return &m.all
}

// target adds the figures of a target to those that other reports have of it.
func (m *reading) target(d *report.TargetDoc) error {
	x, err := d.Figures()
	if err != nil {
		return err
	}
	x.Timers = timers(&x)
	all := m.all.captures[m.base:]
	var of []int
	for _, i := range d.Captures {
		if i >= 0 && i < len(all) {
			of = append(of, all[i])
		}
	}
	if slices.Sort(of); len(of) == 0 {
		of = all
	}
	m.put(m.place(&x, slices.Compact(of)), &x)
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
	t.NotServers = union(t.NotServers, x.NotServers, mostNot)
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
