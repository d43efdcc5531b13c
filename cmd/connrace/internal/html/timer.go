package html

import (
	"fmt"
	"html/template"
	"maps"
	"math"
	"slices"
	"strings"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// timerOf says which timer a problem is about.
func timerOf(q *problem) timerText {
	if isTimer(q.reason) {
		return keepAlive(q)
	}
	switch q.reason {
	case detect.CloseMass:
		return timerText{Head: "No timer", Lines: []string{"Connections of unlike ages were closed in one moment: a restart, a deploy or a killed worker."}}
	case detect.CloseAfterResponse:
		return timerText{Head: "No timer", Lines: []string{"The target closes right behind its answers."}}
	}
	switch q.Rule {
	case detect.LBClosedWithRequestOutstanding:
		return patience(medianOf(q.found, outstandingOf))
	case detect.StaleConnection:
		t := timerText{Head: "No timer of the target", Lines: []string{"Something between the two, or the target's host, forgot the connection."}}
		if idle := medianOf(q.found, idleOf); idle > 0 {
			t.Lines = append(t.Lines, "It had been idle for "+text.Short(idle)+" (median).")
		}
		return t
	case detect.SYNDropped, detect.AcceptQueueOverflow:
		return timerText{Head: "No timer: the listen queue", Lines: []string{"The target accepts connections more slowly than they come, and its backlog is full."}}
	case detect.SYNUnanswered:
		return timerText{Head: "No timer: the way to the target", Lines: []string{"SYNs are lost or filtered; nothing speaks for a full queue."}}
	case detect.ConnectionRefused:
		return timerText{Head: "No timer", Lines: []string{"Nothing was listening at that moment."}}
	case detect.PortReuse:
		return timerText{Head: "No timer: the load balancer's ports", Lines: []string{"It uses a port again before the target has forgotten the connection before."}}
	case detect.ClosedWithRequestOutstanding, detect.ResponseTruncated, detect.FINRequestCrossing, detect.RequestAfterFIN, detect.RSTRequestCrossing:
		t := timerText{Head: "No timer that shows", Lines: []string{"The close fits no idle timeout that could be inferred: look for a restart, a crash or a killed worker."}}
		if d := medianOf(q.found, outstandingOf); d > 0 {
			t.Lines = append(t.Lines, "It came "+text.Short(d)+" after the request (median).")
		}
		return t
	}
	return timerText{Head: "No timer"}
}

// keepAlive tells the target's idle timeout and the LB's.
func keepAlive(q *problem) timerText {
	targets := map[*detect.Target]bool{}
	for _, f := range q.found {
		if f.target != nil && f.target.Idle != nil {
			targets[f.target] = true
		}
	}
	seen := medianOf(q.found, idleOf)
	t := timerText{Head: "The target's keep-alive timeout: about " + text.Short(seen)}
	var lb *detect.Timeout
	switch ts := slices.Collect(maps.Keys(targets)); {
	case len(ts) == 0:
		t.Lines = append(t.Lines, "So long the connection had been idle when the target closed it; too few closes were captured to be sure.")
		if soft := software(likelyKnobs(q)); soft != "" {
			t.Lines = append(t.Lines, "It fits the default of "+soft+".")
		}
	case sameTimer(ts):
		x := ts[0]
		lb, seen = x.LBIdle, x.Idle.NS
		t.Head = "The target's keep-alive timeout: " + text.Short(seen)
		t.Lines = append(t.Lines, fmt.Sprintf("Inferred from %s, at most %s apart.", text.Plural(uint64(x.Idle.Samples), "close"), text.Span(x.Idle.SpreadNS)))
		t.Lines = append(t.Lines, about(x.Idle)...)
	default:
		slices.SortFunc(ts, func(a, b *detect.Target) int { return strings.Compare(a.Target.String(), b.Target.String()) })
		t.Head = "The targets' keep-alive timeouts"
		for i, x := range ts {
			if i == 6 {
				t.Lines = append(t.Lines, fmt.Sprintf("and %d more", len(ts)-i))
				break
			}
			t.Lines = append(t.Lines, fmt.Sprintf("%s: %s", x.Target, text.Short(x.Idle.NS)))
		}
		return t
	}
	if lb != nil {
		t.Lines = append(t.Lines, "The load balancer keeps idle connections for "+text.Short(lb.NS)+".")
	} else {
		t.Lines = append(t.Lines, "The load balancer's own idle timeout is longer: it never closed first.")
	}
	t.Race = race(seen, lb)
	return t
}

// sameTimer reports whether all targets have the same timeout, to a twentieth.
func sameTimer(ts []*detect.Target) bool {
	lo, hi := ts[0].Idle.NS, ts[0].Idle.NS
	for _, t := range ts {
		lo, hi = min(lo, t.Idle.NS), max(hi, t.Idle.NS)
	}
	return hi-lo <= max(hi/20, 20e6)
}

// about is what else is known of a timeout.
func about(t *detect.Timeout) []string {
	var out []string
	if t.Advertised.Known {
		out = append(out, "The target announces Keep-Alive: timeout="+announced(t)+".")
	}
	for _, h := range t.Hint {
		out = append(out, text.Sentence(h)+".")
	}
	return out
}

// likelyKnobs are the settings of the software that the targets' timers look like.
func likelyKnobs(q *problem) []detect.Knob {
	hinted := func(k detect.Knob) bool {
		return slices.ContainsFunc(q.found, func(f *found) bool {
			return f.target != nil && f.target.Idle != nil && strings.Contains(strings.Join(f.target.Idle.Hint, " "), k.Software)
		})
	}
	var out []detect.Knob
	for _, k := range q.Rule.Servers {
		if hinted(k) {
			out = append(out, k)
		}
	}
	if out == nil {
		out = q.Rule.LikelyKnobs(medianOf(q.found, idleOf))
	}
	return out
}

// announced is the value of Keep-Alive: timeout=, seconds.
func announced(t *detect.Timeout) string { return text.Digits(float64(t.Advertised.NS)/1e9, 4) }

// software names whose settings they are.
func software(ks []detect.Knob) string {
	var names []string
	for _, k := range ks {
		if !slices.Contains(names, k.Software) {
			names = append(names, k.Software)
		}
	}
	return strings.Join(names, ", ")
}

// race draws the two timeouts as bars: the shorter one closes first. The LB's may be nil.
func race(target int64, lb *detect.Timeout) (h template.HTML) {
	const left, width, full = 108, 360, 180.0
	bar := [2]float64{full, full}
	texts := [2]string{text.Short(target), "longer"}
	if lb != nil {
		longest := float64(max(target, lb.NS, 1))
		// By the square root, for 2 s beside 60 s must still be seen.
		bar = [2]float64{full * math.Sqrt(float64(target)/longest), full * math.Sqrt(float64(lb.NS)/longest)}
		texts[1] = text.Short(lb.NS)
	} else {
		bar[0] = full / 2
	}
	var s svg
	s.add(`<svg class="race" role="img" width="%v" height="58" viewBox="0 0 %v 58" aria-label="%v">`, width, width,
		"Target closes after "+texts[0]+" idle, load balancer after "+texts[1])
	for i, name := range []string{"Target", "Load balancer"} {
		y := 8 + 26*i
		s.add(`<text class="name" x="0" y="%v">%v</text>`, y+13, name)
		class := [2]string{"bar target", "bar lb"}[i]
		if i == 1 && lb == nil {
			class += " open"
		}
		s.add(`<rect class="%v" x="%v" y="%v" width="%v" height="18" rx="2"/>`, class, left, y, max(bar[i], 3))
		s.add(`<text x="%v" y="%v">%v</text>`, left+max(bar[i], 3)+8, y+13, texts[i])
	}
	s.add(`</svg>`)
	return s.html()
}

// patience says how long the LB waited for an answer: a round time is its own limit.
func patience(ns int64) timerText {
	const round, slack = second / 2, 15 * second / 1000
	if off := (ns + slack) % round; ns >= round-slack && off <= 2*slack {
		return timerText{Head: "The load balancer's limit for an answer: " + text.Short((ns+slack)/round*round), Lines: []string{"It gave up " + text.Short(ns) + " after the request (median), a round time."}}
	}
	return timerText{Head: "The load balancer waited " + text.Short(ns), Lines: []string{"That is no round time (median): most likely its client went away, unless it is set to just this."}}
}

func outstandingOf(f *found) detect.Duration { return f.Measures.Outstanding }

func idleOf(f *found) detect.Duration { return f.Measures.Idle }

// medianOf is the median of a measure over findings; 0: none has it.
func medianOf(fs []*found, of func(*found) detect.Duration) int64 {
	var v []int64
	for _, f := range fs {
		if d := of(f); d.Known {
			v = append(v, d.NS)
		}
	}
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return v[len(v)/2]
}

func sorted(m map[string]bool) []string { return slices.Sorted(maps.Keys(m)) }
