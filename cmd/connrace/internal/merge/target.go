package merge

import (
	"cmp"
	"slices"

	"connrace/detect"
	"connrace/tcpstate"
)

// target adds the figures of a target to those that other reports have of it.
func (m *reading) target(d *targetDoc) error {
	x := d.target()
	i, known := m.targets[x.Target]
	if !known && len(m.result.Targets) >= mostTargets {
		x.Target, x.LBs, x.Advice = tcpstate.Endpoint{}, nil, nil
		m.result.Totals.MergedConnections += x.Connections
		i, known = m.targets[x.Target]
	}
	if !known {
		m.targets[x.Target] = len(m.result.Targets)
		m.result.Targets = append(m.result.Targets, x)
		return nil
	}
	join(&m.result.Targets[i], &x)
	return nil
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
