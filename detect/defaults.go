package detect

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// mostHints is how many defaults are named where several fit.
const mostHints = 3

// targetHints are the servers that close a connection idle for so long by default. That
// is a hint, no more: any server can be set to any value. Where it is known what server it is, it
// is the only one; not are those that it cannot be.
func targetHints(gap int64, known *Software, not []string) []string {
	return hints(without(matching(targetDefaults, gap), not), known)
}

// lbHints are the load balancers that keep an idle connection for so long by default.
func lbHints(gap int64, known *Software) []string { return hints(matching(lbDefaults, gap), known) }

// LikelyKnobs are the keep-alive settings of servers which by default close a connection idle for so
// long (ns), but of those that it cannot be.
func LikelyKnobs(gap int64, not []string) []Knob {
	var out []Knob
	for _, d := range without(matching(targetDefaults, gap), not) {
		for _, k := range keepAliveKnobs {
			if k.Software == d.Software && len(out) < mostHints && !slices.Contains(out, k) {
				out = append(out, k)
			}
		}
	}
	return out
}

// without are the defaults but those of some software.
func without(ds []Default, not []string) []Default {
	return slices.DeleteFunc(ds, func(d Default) bool { return slices.Contains(not, d.Software) })
}

// A server closes at its timeout or up to a second late (gunicorn and lighttpd sweep,
// Node.js adds a buffer); it seems to close early only by the error of measurement.
const (
	closesLate  = 1100 * time.Millisecond
	closesEarly = 5 * time.Millisecond
)

// matching are the defaults that fit a gap, closest first. Those that fit it to 50 ms
// or a hundredth leave no room for the others.
func matching(defaults []Default, gap int64) []Default {
	late := func(d Default) time.Duration { return max(time.Duration(gap)-d.Idle, 0) }
	var out []Default
	for _, d := range defaults {
		if g := time.Duration(gap); d.Idle > 0 && g >= d.Idle-closesEarly && g <= d.Idle+closesLate {
			out = append(out, d)
		}
	}
	slices.SortStableFunc(out, func(a, b Default) int { return int(late(a) - late(b)) })
	for i, d := range out {
		if d.Idle != out[0].Idle && late(out[0]) <= max(50*time.Millisecond, out[0].Idle/100) {
			return out[:i]
		}
	}
	return out
}

// lateSoftware is what closes so much later than it advertises (measured of Node.js 20.20 and
// Puma 5.6); nil: none known.
func lateSoftware(late int64) *Software {
	switch ms := late / millisecond; {
	case ms >= 950 && ms <= 1100:
		return &Software{Name: "Node.js", Basis: "it closes 1 s after what it advertises"}
	case ms >= 150 && ms <= 250:
		return &Software{Name: "Puma", Basis: "it closes 0.2 s after what it advertises"}
	}
	return nil
}

// hints name the first of the defaults; of known software only its own.
func hints(ds []Default, known *Software) []string {
	var out []string
	for _, d := range ds {
		if len(out) == mostHints {
			break
		}
		if known != nil && known.Name != d.Software {
			continue
		}
		what := strings.TrimSpace(d.Software + " " + d.Since)
		out = append(out, fmt.Sprintf("fits the default of %s (%s)", what, strings.TrimSpace(d.Setting+" "+d.Value)))
	}
	return out
}
