package lblog

import (
	"cmp"
	"iter"
	"slices"
	"sort"
	"strings"

	"connrace/detect"
)

// sure is how far apart times must be to tell which is which: logs are written, and
// clocks set, no better.
const sure = int64(25e6)

// maxWait bounds how long a load balancer waits for a connection, or for an answer.
const maxWait = int64(130e9)

// levels are how far apart times may be, tried in turn: what is nearer is joined first.
var levels = []int64{3e6, 25e6, 100e6, 400e6, near}

var (
	pathLevels = append(slices.Clip(levels), 5e9)
	idLevels   = append(slices.Clip(pathLevels), 3600e9)
)

// match joins by one key after the other.
func (j *Joiner) match() {
	for _, s := range j.slots {
		j.longest = max(j.longest, s.Resolution+s.Wait)
	}
	tries := make([]*try, 0, len(j.capture.Findings))
	transit := j.capture.transit()
	for _, f := range j.capture.Findings {
		if f.Rule.About != detect.AboutTarget {
			for _, one := range f.each() {
				tries = append(tries, newTry(one, transit[f.Target]))
			}
		}
	}
	slices.SortStableFunc(tries, func(a, b *try) int { return cmp.Compare(a.lo, b.lo) })

	j.tier(ByTraceID, idLevels, tries, func(t *try) string {
		if t.Request == nil {
			return ""
		}
		return root(t.Request.TraceID)
	}, func(s *slot) []string { return traces(s.Entry) })
	j.tier(ByRequestID, idLevels, tries, func(t *try) string {
		if t.Request == nil || len(t.Request.RequestID) < minID {
			return ""
		}
		return t.Request.RequestID
	}, func(s *slot) []string { return s.Words })
	j.measureOffset()
	j.tier(ByPort, levels, tries, func(t *try) string { return t.LB.String() }, func(s *slot) []string {
		var ports []string
		for _, e := range s.Ends {
			ports = append(ports, e.String())
		}
		return ports
	})
	byPath := func(levels []int64) {
		j.tier(ByPath, levels, tries, pathOf, paths)
		j.tier(ByPath, levels, tries, func(t *try) string { return bare(pathOf(t)) }, func(s *slot) []string {
			keys := paths(s)
			for i := range keys {
				keys[i] = bare(keys[i])
			}
			return keys
		})
	}
	byPath(levels)
	j.measureOffset()
	j.tier(ByTime, levels, tries, func(t *try) string { return t.Target.String() }, func(s *slot) []string {
		if s.Target == (endpoint{}) || j.serverError(s.Entry) != nil {
			return nil
		}
		return []string{s.Target.String()}
	})
	j.tier(ByTime, levels, tries, func(*try) string { return "any" }, func(s *slot) []string {
		if s.Target != (endpoint{}) || s.NoTarget && s.Status == 503 || j.serverError(s.Entry) != nil { // none was healthy
			return nil
		}
		return []string{"any"}
	})
	byPath(pathLevels) // seconds away comes behind what has the time and may have had the path
}

// root is the part of an X-Amzn-Trace-Id that stays the same on a request's whole way,
// Root=1-67891233-abcdef012345678912345678.
func root(trace string) string {
	for part := range strings.SplitSeq(trace, ";") {
		if r, ok := strings.CutPrefix(strings.TrimSpace(part), "Root="); ok && len(r) >= minID {
			return r
		}
	}
	return ""
}

// traces are the roots of the trace ids that an entry may have.
func traces(e *Entry) []string {
	if r := root(e.TraceID); r != "" {
		return []string{r}
	}
	var rs []string
	for _, w := range e.Words {
		if r := root(w); r != "" {
			rs = append(rs, r)
		}
	}
	return rs
}

// exact reports whether an entry and a request have the whole trace id or the request
// id in common. A root alone may be shared by requests that came of one another.
func exact(e *Entry, q *detect.Request) bool {
	has := func(id string) bool { return len(id) >= minID && (e.TraceID == id || slices.Contains(e.Words, id)) }
	return has(q.TraceID) || has(q.RequestID)
}

// pathOf is the method and path of a finding's request; "": unknown.
func pathOf(t *try) string {
	if t.Request == nil || t.Request.Path == "" {
		return ""
	}
	return t.Request.Method + " " + t.Request.Path
}

// paths are the methods and paths that an entry's request may have had at the target.
func paths(s *slot) []string {
	if s.Path == "" {
		return nil
	}
	keys := []string{s.Method + " " + s.Path}
	if s.Alias != "" && s.Alias != s.Path {
		keys = append(keys, s.Method+" "+s.Alias)
	}
	return keys
}

// bare is a path without its query string, which some leave out of their logs.
func bare(path string) string {
	path, _, _ = strings.Cut(path, "?")
	return path
}

// tier joins entries and findings that have a key in common.
func (j *Joiner) tier(by Key, levels []int64, tries []*try, keyOf func(*try) string, keysOf func(*slot) []string) {
	type group struct {
		slots []*slot
		tries []*try
	}
	groups := map[string]*group{}
	var order []*group
	for _, t := range tries {
		if k := keyOf(t); t.owner == nil && k != "" {
			if groups[k] == nil {
				groups[k] = &group{}
				order = append(order, groups[k])
			}
			groups[k].tries = append(groups[k].tries, t)
		}
	}
	for _, s := range j.slots {
		if s.try != nil || !s.Failure.reachesWire() {
			continue
		}
		for _, k := range keysOf(s) {
			if g := groups[k]; g != nil && (len(g.slots) == 0 || g.slots[len(g.slots)-1] != s) {
				g.slots = append(g.slots, s)
			}
		}
	}
	for _, g := range order {
		if len(g.slots) == 0 {
			continue
		}
		for _, s := range g.slots {
			s.group = g.tries
		}
		for _, lost := range []bool{true, false} {
			for _, level := range levels {
				j.pair(by, level, g.slots, g.tries, lost)
			}
		}
		j.earlier(by, g.slots, g.tries)
		j.unlucky(by, levels, g.slots, g.tries)
		j.contest(by, g.slots, g.tries)
	}
}

// pair gives each free finding the entry whose time is over first: an entry that can wait
// may find another. That joins as many as can be.
func (j *Joiner) pair(by Key, level int64, slots []*slot, tries []*try, lost bool) {
	const most = 256 // entries that are looked at for one finding
	free := freeSlots(slots)
	if len(free) == 0 {
		return
	}
	next := make([]int, len(free)+1) // the first free entry at or behind an index
	for i := range next {
		next[i] = i
	}
	for _, t := range tries {
		if t.owner != nil || t.Lost != lost {
			continue
		}
		from := sort.Search(len(free), func(i int) bool { return free[i].End+j.longest+level+j.slack() >= t.lo })
		for i, n := follow(next, from), 0; i < len(free) && n < most; i, n = follow(next, i+1), n+1 {
			s := free[i]
			if s.End-level-j.slack() > t.hi {
				break
			}
			if d, ok := j.distance(s.Entry, t, by); ok && d <= level {
				t.owner, s.try, s.by, s.level = s, t, by, level
				next[i] = i + 1
				break
			}
		}
	}
}

// slack is what the clocks' offset shifts times by at most.
func (j *Joiner) slack() int64 { return max(j.offset, -j.offset) }

// follow finds the first free index at or behind i, and shortens the way to it.
func follow(next []int, i int) int {
	for next[i] != i {
		next[i] = next[next[i]]
		i = next[i]
	}
	return i
}

func freeSlots(slots []*slot) []*slot {
	var free []*slot
	for _, s := range slots {
		if s.try == nil {
			free = append(free, s)
		}
	}
	return free
}

// distance is how far apart the times of an entry and a finding are; ok is false where
// they cannot belong together.
func (j *Joiner) distance(e *Entry, t *try, by Key) (d int64, ok bool) {
	if !fits(e, t, by) {
		return 0, false
	}
	lo, hi, begin := t.lo+j.offset, t.hi+j.offset, t.begin+j.offset
	d = max(0, lo-e.last(), e.End-hi, begin-e.last())
	if e.Start == 0 {
		return d, true
	}
	d = max(d, e.Start-begin-e.Resolution)
	if e.Retries <= 0 { // else this may be a later try
		from := max(e.Dispatch, e.Start)
		d = max(d, begin-from-e.Connect-e.Resolution)
	}
	return d, true
}

// fits reports whether a finding can be what an entry tells of, times apart.
func fits(e *Entry, t *try, by Key) bool {
	if e.Target != (endpoint{}) && e.Target != t.Target || !explains(e.Failure, t.Finding) {
		return false
	}
	q := t.Request
	if q == nil || q.Path == "" || e.Path == "" || by <= ByRequestID && exact(e, q) {
		// By time alone only what must have made an entry.
		return by != ByTime || t.Lost || e.Failure == Truncated
	}
	if e.Method != q.Method {
		return false
	}
	return samePath(e.Path, q.Path, e.Cut) || e.Alias != "" && samePath(e.Alias, q.Path, e.Cut)
}

// samePath compares the path that a client sent with that which went to the target:
// proxies may cut off or put on a prefix, and the query string may have been left out.
func samePath(logged, sent string, cut bool) bool {
	if logged == sent || cut && len(logged) > 64 && strings.HasPrefix(sent, logged) {
		return true
	}
	logged, query, asked := strings.Cut(logged, "?")
	sent, sentQuery, sentAsked := strings.Cut(sent, "?")
	if asked && sentAsked && query != sentQuery {
		return false
	}
	return logged == sent || len(logged) > 1 && len(sent) > 1 && (strings.HasSuffix(logged, sent) || strings.HasSuffix(sent, logged))
}

// earlier gives findings that are left to the entry of whose request they were earlier
// tries.
func (j *Joiner) earlier(by Key, slots []*slot, tries []*try) {
	if by == ByTime {
		return
	}
	for _, t := range tries {
		if t.owner != nil {
			continue
		}
		for _, s := range slots {
			if s.try == nil || s.EachTry || s.by != by || s.Retries >= 0 && len(s.tries) >= s.Retries {
				continue
			}
			if _, ok := j.distance(s.Entry, t, by); !ok || t.begin > s.try.begin || s.Start != 0 && t.begin+j.offset < s.Start-near {
				continue
			}
			if s.Start == 0 && by == ByPath { // nothing says that it is the same request
				continue
			}
			t.owner = s
			s.tries = append(s.tries, t)
			break
		}
	}
}

// unlucky notes of entries without a finding which findings fit them.
func (j *Joiner) unlucky(by Key, levels []int64, slots []*slot, tries []*try) {
	for _, s := range slots {
		if s.try != nil {
			continue
		}
		s.fits = nil
		level := min(levels[len(levels)-1], pathLevels[len(pathLevels)-1])
		for t := range j.around(tries, s.Entry, level) {
			if d, ok := j.distance(s.Entry, t, by); ok && d <= level && len(s.fits) < maxAmong {
				s.fits = append(s.fits, t)
			}
		}
	}
}

// maxAmong bounds the findings that are named as fitting.
const maxAmong = 8

// around are the findings, given in order of lo, that may be near an entry, the latest
// first.
func (j *Joiner) around(tries []*try, e *Entry, level int64) iter.Seq[*try] {
	const most = 1024
	slack := level + j.slack() + e.Resolution + e.Wait
	to := sort.Search(len(tries), func(i int) bool { return tries[i].lo > e.End+slack })
	return func(yield func(*try) bool) {
		for i := to - 1; i >= 0 && i >= to-most && tries[i].lo >= e.begin()-slack-maxWait; i-- {
			if !yield(tries[i]) {
				return
			}
		}
	}
}

// rivals are the findings that fit an entry as well as its own. A finding that explains another entry fits only if the two could be swapped.
func (j *Joiner) rivals(s *slot) []*try {
	if s.by <= ByPort {
		return nil
	}
	var others []*try
	blur := max(s.level, s.try.blur)
	for t := range j.around(s.group, s.Entry, blur) {
		if t == s.try || len(others) == maxAmong || t.Lost != s.try.Lost {
			continue
		}
		if d, ok := j.distance(s.Entry, t, s.by); !ok || d > blur {
			continue
		}
		if o := t.owner; o != nil {
			if d, ok := j.distance(o.Entry, s.try, o.by); o == s || o.by < s.by || !ok || d > max(o.level, t.blur) {
				continue
			}
		}
		others = append(others, t)
	}
	return others
}

// measureOffset finds out how far the clocks are apart from what is joined already.
func (j *Joiner) measureOffset() {
	var ds []int64
	for _, s := range j.slots {
		if t := s.try; t != nil && t.hi-t.lo < 100e6 && s.Resolution < 1e9 {
			ds = append(ds, s.mid()-(t.lo+t.hi)/2)
		}
	}
	if len(ds) < 3 {
		return
	}
	slices.Sort(ds)
	if m := ds[len(ds)/2]; m > 50e6 || m < -50e6 {
		j.offset = m
	}
}
