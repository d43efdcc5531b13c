package idle

// Limits are what a target's closes show besides its idle timeout: how long a request may take,
// how old a connection may grow, how many requests it may carry.
type Limits struct {
	Request    *Timer // from the request; nil: none
	Age        *Timer // from accept; nil: none
	Count      uint32 // requests of a connection; 0: none
	Uncanceled *Timer // an idle timeout that goes on when a request comes; nil: none
	// Refused are the kinds of request that were always closed upon at once.
	Refused map[uint64]bool
}

const (
	// shortestLimit is the shortest limit for a request or an age that is claimed: what takes
	// less differs by less than a sweep's period, whatever ends it.
	shortestLimit = second
	// atOnce is how soon a request is refused, beside a round trip, by judgement.
	atOnce = 10 * millisecond
)

// InferLimits infers limits from a target's closes, of which mass are the MassCloses, and the LB's.
// answered says how many answers took longer than a time; rtt is the round trip.
func InferLimits(own []Close, mass []bool, lb []Close, answered func(int64) int, rtt int64) (l Limits) {
	if len(own) == 0 {
		return l
	}
	var busy, all []Close // those with a request outstanding, and all that a limit may be behind
	for i, c := range own {
		if c.Out > ShortGap {
			busy = append(busy, c)
		}
		if !mass[i] {
			all = append(all, c)
		}
	}
	out := func(c *Close) int64 { return c.Out }
	gap := func(c *Close) int64 { return c.Gap }
	age := func(c *Close) int64 { return c.Age }
	l.Request = cluster(busy, out, watchdogScatter)
	if r := l.Request; r != nil {
		// A request that waits to be accepted may take longer, whether it is answered or not.
		sooner := countIf(busy, func(c *Close) bool { return !r.Overdue(c.Out) })
		if over := len(busy) - sooner; 4*sooner > over || answered(r.Hi+Slack) > over {
			l.Request = nil
		}
	}
	if l.Request == nil {
		if t := cluster(busy, gap, func(lo int64) int64 { return min(lo/20, Slack) }); t != nil && 2*len(t.Closes) > len(busy) && spread(t.Closes, out) > 2*spread(t.Closes, gap)+Slack {
			l.Uncanceled = t
		}
	}
	l.Count = inferCount(own, lb)
	if l.Count == 0 {
		l.Age = inferAge(all, lb, age)
	}
	l.Refused = inferRefused(own, rtt)
	for _, t := range []*Timer{l.Request, l.Age, l.Uncanceled} {
		if t != nil {
			t.Closes = nil // copies, of which nobody asks
		}
	}
	return l
}

// watchdogScatter is by how much a watchdog is late: it looks once a second, as gunicorn's and
// uWSGI's do.
func watchdogScatter(lo int64) int64 { return max(lo/20, second*11/10) }

// cluster is the timer that most closes stand on by a clock: at least three moments within the
// scatter above the lowest, or two within 50 ms.
func cluster(cs []Close, clock func(*Close) int64, scatter func(lo int64) int64) *Timer {
	cs = sorted(cs, clock)
	var best []Close
	bestMoments := 0
	for i, j := 0, 0; i < len(cs); i++ {
		lo := clock(&cs[i])
		for j < len(cs) && clock(&cs[j])-lo <= scatter(lo) {
			j++
		}
		if lo < shortestLimit || j-i <= len(best) {
			continue
		}
		if _, n := moments(cs[i:j]); n >= 3 || n == 2 && clock(&cs[j-1])-lo <= Moment {
			best, bestMoments = cs[i:j], n
		}
	}
	if best == nil {
		return nil
	}
	return &Timer{After: clock(&best[0]), Lo: clock(&best[0]), Hi: clock(&best[len(best)-1]), Moments: bestMoments, Closes: best}
}

// inferAge infers how old a connection may grow: most closes come at that age, be it spread by
// a tenth either way as gRPC does, although the connections had been idle for unlike times and
// had carried unlike numbers of requests, and few connections grow older.
func inferAge(own, lb []Close, age func(*Close) int64) *Timer {
	var known []Close
	for _, c := range own {
		if c.Age >= shortestLimit && c.Gap >= 0 { // one that has no answer yet has one clock only
			known = append(known, c)
		}
	}
	t := cluster(known, age, func(lo int64) int64 { return max(lo*22/100, Slack) })
	if t == nil || t.Moments < 3 || 4*len(t.Closes) < 3*len(known) {
		return nil
	}
	if tight := t.Hi-t.Lo <= max(t.Lo/50, Slack); !tight && len(t.Closes) < 5 {
		return nil
	}
	busy := func(c *Close) int64 { return max(c.Out, c.Gap) }
	if spread(t.Closes, busy) <= t.Hi-t.Lo+Slack || sameCount(t.Closes) {
		return nil
	}
	if older := func(c *Close) bool { return c.Age > t.Hi+Slack }; 4*(countIf(own, older)+countIf(lb, older)) > len(t.Closes) {
		return nil
	}
	return t
}

// inferCount infers how many requests a connection may carry: at least three were closed right
// behind that one, none carried more, and few were closed behind another.
func inferCount(own, lb []Close) uint32 {
	most, n, others := uint32(0), 0, 0
	for i := range own {
		switch c := &own[i]; {
		case !c.AtOnce() || c.Nth == 0:
		case c.Nth > most:
			most, n, others = c.Nth, 1, others+n
		case c.Nth == most:
			n++
		default:
			others++
		}
	}
	more := func(c *Close) bool { return c.Nth > most }
	if most < 2 || n < 3 || 4*others > n || countIf(own, more)+countIf(lb, more) > 0 {
		return 0
	}
	return most
}

// inferRefused are the kinds of request, three times or more, that were closed upon at once,
// although the connections had been idle for unlike times.
func inferRefused(own []Close, rtt int64) map[uint64]bool {
	by := map[uint64][]*Close{}
	for i := range own {
		if c := &own[i]; c.Refused(rtt) {
			by[c.What] = append(by[c.What], c)
		}
	}
	kinds := map[uint64]bool{}
	for what, cs := range by {
		fresh := 0
		var clocks readings
		last := cs[0].reading() // of the latest clock, the longest
		for _, c := range cs {
			if c.Gap < 0 {
				fresh++
			}
			r := c.reading()
			if clocks.add(r); r.clock > last.clock || r.clock == last.clock && r.ns > last.ns {
				last = r
			}
		}
		if len(cs) >= 3 && (fresh > 0 || 2*clocks.mostAlike() <= len(cs) || last.of.Gap < second) {
			kinds[what] = true
		}
	}
	return kinds
}

// Refused reports whether the target closed as soon as it had the request.
func (c *Close) Refused(rtt int64) bool { return c.What != 0 && c.Out >= 0 && c.Out <= rtt+atOnce }

func countIf(cs []Close, so func(*Close) bool) (n int) {
	for i := range cs {
		if so(&cs[i]) {
			n++
		}
	}
	return n
}

// spread is how far the values of a clock lie apart.
func spread(cs []Close, clock func(*Close) int64) int64 {
	lo, hi := clock(&cs[0]), clock(&cs[0])
	for i := range cs {
		lo, hi = min(lo, clock(&cs[i])), max(hi, clock(&cs[i]))
	}
	return hi - lo
}

// sameCount reports whether all had carried the same number of requests.
func sameCount(cs []Close) bool {
	return cs[0].Nth != 0 && countIf(cs, func(c *Close) bool { return c.Nth != cs[0].Nth }) == 0
}
