package diagnosis

import (
	"cmp"
	"slices"
	"strings"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// who is the software of one side of the problem's targets.
func (q *problem) who(of func(*detect.Target) *detect.Software) (all []Software) {
	for _, t := range q.known() {
		s := of(t)
		if s == nil {
			continue
		}
		i := slices.IndexFunc(all, func(o Software) bool { return o.Name == s.Name })
		if i < 0 {
			i = len(all)
			all = append(all, Software{Software: s})
		}
		if name := TargetName(t.Target); !slices.Contains(all[i].Targets, name) { // which is there once for each analysis
			all[i].Targets = append(all[i].Targets, name)
		}
	}
	slices.SortStableFunc(all, func(a, b Software) int { return cmp.Compare(len(b.Targets), len(a.Targets)) })
	return all
}

// Who says which software is at both ends, and from what that is known.
func (q *Problem) Who() string { return q.ends(true) }

// Names says which software it is, and not from what that is known.
func (q *Problem) Names() string { return q.ends(false) }

func (q *Problem) ends(basis bool) string {
	lb := q.side("load balancer", "before", q.LBs, basis)
	switch {
	case q.LBs == nil && q.Traced:
		lb = "Nothing tells what the load balancer is: X-Amzn-Trace-Id is an ALB's, which may be this one or one before it."
	case q.Servers == nil && q.LBs == nil:
		return "Unknown: nothing in the capture tells what the server or the load balancer is."
	}
	return q.side("server", "at", q.Servers, basis) + " " + lb
}

// side says it of one of the two, which is at or before its targets.
func (q *Problem) side(name, at string, all []Software, basis bool) string {
	if len(all) == 0 {
		return "Nothing tells what the " + name + " is."
	}
	told, n := []string{}, 0
	for _, s := range all {
		said := mostly(s.Likely) + text.Clean(s.Name)
		if basis {
			said += " (" + text.Clean(s.Basis) + ")"
		}
		if len(s.Targets) < len(q.Targets) {
			said += " " + at + " " + listed(s.Targets)
		}
		told = append(told, said)
		n += len(s.Targets)
	}
	is := " is "
	if len(all) > 1 {
		is = "s are "
	}
	rest := "."
	if len(all) > mostLikely {
		told = append(told[:mostLikely], "others")
	}
	if n < len(q.Targets) {
		rest = "; of the other targets nothing tells."
	}
	return "The " + name + is + strings.Join(told, ", ") + rest
}

func mostly(likely bool) string {
	if likely {
		return "most likely "
	}
	return ""
}

// Where names the targets.
func (q *Problem) Where() string { return listed(q.Targets) }

// listed names targets, or says how many they are.
func listed(names []string) string {
	const most = 3
	if n := len(names); n > most {
		return text.Plural(uint64(n), "target")
	}
	return strings.Join(names, ", ")
}

// Box is where a setting belongs, and to which software if that is known.
func (q *Problem) Box(l *Line) string {
	if l.Both && !l.Likely {
		return "on both sides (" + l.Software + ")"
	}
	box, at := "on the load balancer", q.Targets
	if i := slices.IndexFunc(q.Servers, func(s Software) bool { return s.Name == l.Software }); i >= 0 {
		at = q.Servers[i].Targets
	}
	switch {
	case l.LB:
	case len(at) == 1:
		box = "on the target " + at[0]
	case len(at) < len(q.Targets):
		box = "on " + listed(at)
	default:
		box = "on the targets"
	}
	if l.LB && q.instead {
		box = "or else " + box
	}
	switch {
	case l.Likely && q.ifStopped && !l.LB:
		return box + ", if it was stopped, not killed, and is"
	case l.Likely:
		return box + ", if it is"
	}
	known := q.Servers
	if l.LB {
		known = q.LBs
	}
	likely := slices.ContainsFunc(known, func(s Software) bool { return s.Name == l.Software && s.Likely })
	return box + " (" + mostly(likely) + l.Software + ")"
}
