package live

import (
	"cmp"
	"slices"
	"time"

	"connrace/cmd/connrace/internal/report"
	"connrace/detect"
	"connrace/tcpstate"
)

// limiter keeps findings of a kind from being shown without end: a burst of each kind, and
// then one now and then; the others are counted, and the counts shown. A target that is
// broken for weeks fills no disk.
type limiter struct {
	kinds map[findingKind]*shownKind
	all   bucket
	next  time.Time // when the counts are shown
}

// findingKind is what findings have in common that say the same.
type findingKind struct {
	rule     *detect.Rule
	severity detect.Severity
	lb       tcpstate.Addr
	target   string
}

type shownKind struct {
	bucket
	suppressed report.Repeated // those that were not shown
	last       time.Time
}

// bucket lets some through at once, and then one each period.
type bucket struct {
	tokens float64
	at     time.Time
}

const (
	kindBurst = 1000
	kindEvery = time.Minute
	allBurst  = 10000
	allEvery  = 20 * time.Second
	maxKinds  = 1 << 12
	// suppressedEvery is how often the counts are shown.
	suppressedEvery = 10 * time.Minute
)

func (b *bucket) take(now time.Time, burst int, every time.Duration) bool {
	if !b.has(now, burst, every) {
		return false
	}
	b.tokens--
	return true
}

// has reports whether one would be let through.
func (b *bucket) has(now time.Time, burst int, every time.Duration) bool {
	if b.at.IsZero() {
		b.tokens = float64(burst)
	} else {
		b.tokens = min(b.tokens+float64(now.Sub(b.at))/float64(every), float64(burst))
	}
	b.at = now
	return b.tokens >= 1
}

func newLimiter(now time.Time) *limiter {
	return &limiter{kinds: map[findingKind]*shownKind{}, next: now.Add(suppressedEvery)}
}

// would reports whether a finding would be shown by now.
func (l *limiter) would(f *detect.Finding, now time.Time) bool {
	s := l.kinds[kindOf(f)]
	return (s == nil || s.has(now, kindBurst, kindEvery)) && l.all.has(now, allBurst, allEvery)
}

func kindOf(f *detect.Finding) findingKind {
	return findingKind{f.Rule, f.Severity, f.LB.Addr, f.TargetName()}
}

// allow reports whether a finding is shown; one that is not is counted.
func (l *limiter) allow(f *detect.Finding, now time.Time) bool {
	k := kindOf(f)
	s := l.kinds[k]
	if s == nil {
		if len(l.kinds) >= maxKinds {
			l.tidy(now)
		}
		if len(l.kinds) >= maxKinds {
			k = findingKind{rule: f.Rule, severity: f.Severity} // all others together
			s = l.kinds[k]
		}
		if s == nil {
			s = &shownKind{suppressed: report.Repeated{Rule: k.rule, Severity: k.severity, LB: k.lb, Target: k.target}}
			l.kinds[k] = s
		}
	}
	s.last = now
	if s.take(now, kindBurst, kindEvery) && l.all.take(now, allBurst, allEvery) {
		return true
	}
	h := &s.suppressed
	if h.Count == 0 {
		h.First, h.Last = f.Time, f.Time
	}
	h.Count++
	h.First, h.Last = min(h.First, f.Time), max(h.Last, f.Time)
	if f.Lost {
		h.Lost++
	}
	return false
}

// suppressed returns the counts of what was not shown, if it is time for that, and begins anew.
func (l *limiter) suppressed(now time.Time, ended bool) (rs []report.Repeated) {
	if now.Before(l.next) && !ended {
		return nil
	}
	l.next = now.Add(suppressedEvery)
	for _, s := range l.kinds {
		if s.suppressed.Count > 0 {
			rs = append(rs, s.suppressed)
			s.suppressed.Count, s.suppressed.Lost = 0, 0
		}
	}
	slices.SortFunc(rs, func(a, b report.Repeated) int {
		return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(a.Rule.ID, b.Rule.ID), cmp.Compare(a.Target, b.Target))
	})
	return rs
}

// tidy forgets kinds that have not come for long.
func (l *limiter) tidy(now time.Time) {
	for k, s := range l.kinds {
		if s.suppressed.Count == 0 && now.Sub(s.last) > kindEvery {
			delete(l.kinds, k)
		}
	}
}
