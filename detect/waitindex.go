package detect

import (
	"slices"

	"connrace/tcpstate"
)

// waitIndex answers what SYNs and requests ask about the waits at a target. In an outage there are
// thousands, and each SYN asks: how many speak for something at a time is how many begin until
// then, less how many end before; and no group of waits is looked into of which none can be the
// answer. It has those that there were at the last question, for mostly none is asked.
type waitIndex struct {
	n      int                    // of so many waits
	from   [waitKinds]sortedTimes // when waits begin to speak for it
	to     [waitKinds]sortedTimes // and when those end that do
	groups [groupLevels][]waitGroup
}

// A group is of so many waits, or of so many smaller groups.
const (
	groupSize   = 16
	groupLevels = 3
	maxGroup    = groupSize * groupSize * groupSize
)

// waitGroup sums up waits that are neighbours.
type waitGroup struct {
	known bool // false: to be made anew
	kinds [waitKinds]waitSum
	acked waitSum // first and last: when they were acknowledged
}

// waitSum sums up some waits.
type waitSum struct {
	any             bool  // false: there is none
	first, lastFrom int64 // the earliest and the latest beginning
	firstTo, last   int64 // and end
	newest, largest int32 // the places of these
}

// none reports whether none of the waits has a part between two times.
func (s *waitSum) none(from, to int64) bool { return !s.any || s.first > to || s.last < from }

// whole reports whether each of the waits has a part at a time.
func (s *waitSum) whole(at int64) bool { return s.lastFrom <= at && s.firstTo >= at }

// sortedTimes are times, the earliest first. They come nearly in that order.
type sortedTimes []int64

// replace takes one out and another in; never is none.
func (s *sortedTimes) replace(old, at int64) {
	if old == at {
		return
	}
	if old != never {
		if i, ok := slices.BinarySearch(*s, old); ok {
			*s = slices.Delete(*s, i, i+1)
		}
	}
	if n := len(*s); at != never && n > 0 && (*s)[n-1] > at {
		i, _ := slices.BinarySearch(*s, at)
		*s = slices.Insert(*s, i, at)
	} else if at != never {
		*s = append(*s, at)
	}
}

// until is how many are not later than a time.
func (s sortedTimes) until(at int64) int {
	i, _ := slices.BinarySearch(s, at+1)
	return i
}

// indexed is the index, of all waits.
func (x *waits) indexed() *waitIndex {
	for ; x.index.n < len(x.all); x.index.n++ {
		x.index.change(int32(x.index.n), &wait{void: true}, &x.all[x.index.n])
	}
	return &x.index
}

// change says that the wait at a place has other spans than before.
func (x *waitIndex) change(i int32, before *wait, w *wait) {
	was := before.spans()
	for k, is := range w.spans() {
		if was[k] != is {
			x.from[k].replace(was[k].from, is.from)
			x.to[k].replace(was[k].to, is.to)
		}
	}
	for level := range x.groups {
		if i /= groupSize; int(i) < len(x.groups[level]) {
			x.groups[level][i].known = false
		}
	}
}

// group sums up the waits of a group.
func (x *waits) group(level, g int) *waitGroup {
	if n := g + 1 - len(x.index.groups[level]); n > 0 {
		x.index.groups[level] = append(x.index.groups[level], make([]waitGroup, n)...)
	}
	s := &x.index.groups[level][g]
	if s.known {
		return s
	}
	*s = waitGroup{known: true}
	for i := range x.members(level, g) {
		if level > 0 {
			m := x.group(level-1, i)
			for k := range s.kinds {
				s.kinds[k].add(x.all, &m.kinds[k])
			}
			s.acked.add(x.all, &m.acked)
			continue
		}
		w, at := &x.all[i], int32(i)
		for k, v := range w.spans() {
			if v.from != never {
				s.kinds[k].add(x.all, &waitSum{true, v.from, v.from, v.to, v.to, at, at})
			}
		}
		if w.acked != 0 {
			s.acked.add(x.all, &waitSum{true, w.acked, w.acked, w.acked, w.acked, at, at})
		}
	}
	return s
}

// members are the places of the groups, or waits, of a group, the last first.
func (x *waits) members(level, g int) func(yield func(int) bool) {
	n := len(x.all)
	for range level {
		n = (n + groupSize - 1) / groupSize
	}
	return func(yield func(int) bool) {
		for i := min(n, (g+1)*groupSize) - 1; i >= g*groupSize && yield(i); i-- {
		}
	}
}

// add adds others.
func (s *waitSum) add(all []wait, o *waitSum) {
	if !o.any || !s.any {
		if o.any {
			*s = *o
		}
		return
	}
	s.first, s.lastFrom = min(s.first, o.first), max(s.lastFrom, o.lastFrom)
	s.firstTo, s.last = min(s.firstTo, o.firstTo), max(s.last, o.last)
	if all[o.newest].ref.Time >= all[s.newest].ref.Time {
		s.newest = o.newest
	}
	if all[o.largest].ref.Len > all[s.largest].ref.Len {
		s.largest = o.largest
	}
}

// each calls enter with the groups, the last first, as long as it says that their members are to
// be looked at, and then take with the waits.
func (x *waits) each(enter func(*waitGroup) bool, take func(*wait)) {
	x.indexed()
	for g := (len(x.all)+maxGroup-1)/maxGroup - 1; g >= 0; g-- {
		x.eachOf(groupLevels-1, g, enter, take)
	}
}

func (x *waits) eachOf(level, g int, enter func(*waitGroup) bool, take func(*wait)) {
	if !enter(x.group(level, g)) {
		return
	}
	for i := range x.members(level, g) {
		if level > 0 {
			x.eachOf(level-1, i, enter, take)
		} else {
			take(&x.all[i])
		}
	}
}

// at is how many waits speak for something at a time, and the newest of them.
func (x *waits) at(k waitKind, at int64) (n int, newest tcpstate.SegRef) {
	n = x.indexed().from[k].until(at) - x.index.to[k].until(at-1)
	if n == 0 {
		return 0, newest
	}
	x.each(func(g *waitGroup) bool {
		s := &g.kinds[k]
		if s.none(at, at) || x.all[s.newest].ref.Time <= newest.Time {
			return false
		}
		if s.whole(at) {
			newest = x.all[s.newest].ref
			return false
		}
		return true
	}, func(w *wait) {
		if s := w.spans()[k]; s.from <= at && at <= s.to && w.ref.Time >= newest.Time {
			newest = w.ref
		}
	})
	return n, newest
}

// overflowed reports whether another connection's wait speaks for an overflow at some time
// between two.
func (x *waits) overflowed(flow uint32, from, to int64) (found bool) {
	x.each(func(g *waitGroup) bool {
		s := &g.kinds[forOverflow]
		return !found && !s.none(from, to)
	}, func(w *wait) {
		s := w.spans()[forOverflow]
		found = found || w.flow != flow && s.from <= to && s.to >= from
	})
	return found
}

// largestAcked is the size of the largest segment of a stalled request that was acknowledged
// between two times; 0: none was.
func (x *waits) largestAcked(from, to int64) (size uint32) {
	x.each(func(g *waitGroup) bool {
		s := &g.acked
		return !s.none(from, to) && x.all[s.largest].ref.Len > size
	}, func(w *wait) {
		if w.acked != 0 && w.acked >= from && w.acked <= to {
			size = max(size, w.ref.Len)
		}
	})
	return size
}
