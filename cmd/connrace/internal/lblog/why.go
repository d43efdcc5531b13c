package lblog

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"

	"connrace/detect"
)

// behind are the failures as rules name them; 0: any rule can be behind it.
var behind = map[Failure]detect.LogFailures{
	Closed: detect.LogClosed, Truncated: detect.LogTruncated, Refused: detect.LogRefused, ConnectError: detect.LogConnectError,
	ConnectTimeout: detect.LogConnectTimeout, ReadTimeout: detect.LogReadTimeout, ClientGone: detect.LogClientGone,
}

// explains reports whether a finding can be behind what an entry says.
func explains(failure Failure, f Finding) bool {
	if f.Severity == detect.Info && failure != Truncated {
		return false // nothing was lost
	}
	b := behind[failure]
	return b == 0 || f.Rule.Behind&b != 0
}

// explainAbsence says why no finding explains an entry: what the log says, else what the
// capture shows at that moment.
func (j *Joiner) explainAbsence(s *slot) Unexplained {
	u := Unexplained{Entry: s.Entry}
	set := func(r Reason, format string, args ...any) Unexplained {
		u.Reason, u.Why = r, fmt.Sprintf(format, args...)
		return u
	}
	if s.Failure == Local {
		return set(NotOnTheWire, "%s", s.Why)
	}
	if a := j.serverError(s.Entry); a != nil {
		return set(TargetAnswered, "the target itself answered %d (frame %d, stream %d)", a.Status, a.Frame, a.Stream)
	}
	switch s.Failure {
	case TargetStatus, BadAnswer:
		return set(TargetAnswered, "%s", s.Why)
	}
	why, quiet := j.quiet(s.Entry)
	claim, refuted := j.neverSent(s.Entry)
	switch {
	case len(s.fits) > 0:
		return set(Contested, "%s, but more entries fit than there are findings", fitting(s.fits))
	case s.NoTarget:
		return set(NotOnTheWire, "%s", s.Why)
	case s.Failure == Truncated && !quiet:
		return set(AnswerComplete, "no answer broke off at that moment: the reset came behind a complete one")
	case s.Failure == ClientGone:
		return set(ClientLeft, "the client went away first")
	case refuted:
		return set(NeverSent, "%s", claim)
	case j.atEdge(s.Entry) && s.Wait > 0:
		return set(AtTheEdge, "the log says when the request came, not when it had failed: that may lie outside of the capture")
	case j.atEdge(s.Entry):
		return set(AtTheEdge, "the capture begins or ends within a second of it: what came of it may lie outside")
	case quiet:
		return set(NoPacket, "%s", why)
	case s.Failure == ConnectTimeout:
		why = "no SYN at that moment went without answer here: it was lost or dropped before it came by"
	default:
		why = "other exchanges went on at that moment and none failed: the request did not come by here, or nothing went wrong on the wire"
	}
	switch {
	case s.Why != "":
		why += "; " + s.Why
	case s.Failure != Unsaid:
		why += "; the log says: " + s.Says
	}
	return set(NothingFailed, "%s", why)
}

// fitting names findings.
func fitting(tries []*try) string {
	var ids []string
	for _, t := range tries {
		ids = append(ids, fmt.Sprintf("#%d", t.ID))
	}
	if len(ids) == 1 {
		return "finding " + ids[0] + " fits"
	}
	return "findings " + strings.Join(ids, " ") + " fit"
}

// activity is what the captures showed besides failures.
type activity struct {
	errors     []detect.ServerError // in order of time
	seconds    map[endpoint][]uint32
	all        []uint32 // of all targets
	incomplete bool
}

func newActivity(xs []*detect.Exchanges) *activity {
	a := &activity{seconds: map[endpoint][]uint32{}, incomplete: len(xs) == 0}
	for _, x := range xs {
		if x == nil {
			a.incomplete = true
			continue
		}
		a.incomplete = a.incomplete || x.Incomplete
		a.errors = append(a.errors, x.Errors...)
		for t, s := range x.Seconds {
			a.seconds[t] = append(a.seconds[t], s...)
			a.all = append(a.all, s...)
		}
	}
	for _, s := range a.seconds {
		slices.Sort(s)
	}
	slices.Sort(a.all)
	a.all = slices.Compact(a.all)
	slices.SortStableFunc(a.errors, func(x, y detect.ServerError) int { return cmp.Compare(x.Time, y.Time) })
	return a
}

// serverError is the answer in the capture by which a target itself reported the failure
// of an entry; nil: there is none.
func (j *Joiner) serverError(e *Entry) *detect.ServerError {
	const most = 4096
	if e.Status < 500 && e.Status != 0 {
		return nil
	}
	all := j.activity.errors
	slack := near + e.Resolution
	from := sort.Search(len(all), func(i int) bool { return all[i].Time+j.offset >= e.begin()-slack })
	for i := from; i < min(len(all), from+most) && all[i].Time+j.offset <= e.last()+near; i++ {
		a := &all[i]
		if e.Status != 0 && a.Status != e.Status || e.Target != (endpoint{}) && a.Target != e.Target {
			continue
		}
		q := &a.Request
		if exact(e, q) || e.Path != "" && q.Path != "" && e.Method == q.Method && samePath(e.Path, q.Path, e.Cut) {
			return a
		}
	}
	return nil
}

// atEdge reports whether an entry's request was under way at an end of the capture.
func (j *Joiner) atEdge(e *Entry) bool {
	return !slices.ContainsFunc(j.capture.Spans, func(s Span) bool {
		return e.begin()-j.offset >= s.First+near && e.last()-j.offset <= s.Last-near
	})
}

// quiet reports whether the capture shows nothing to the target while an entry's request
// was under way.
func (j *Joiner) quiet(e *Entry) (why string, quiet bool) {
	seconds, whom := j.activity.all, "any target"
	if e.Target != (endpoint{}) {
		seconds, whom = j.activity.seconds[e.Target], e.Target.String()
	}
	switch {
	case j.activity.incomplete || busy(seconds, e.begin()-j.offset-near, e.last()-j.offset+near):
		return "", false
	case len(seconds) == 0:
		return "the capture shows no connection to " + whom + " at all", true
	}
	return "the capture shows no request and no new connection to " + whom + " at that moment", true
}
