package diagnosis

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"connrace/cmd/connrace/internal/text"
)

// burst are events of which each comes soon behind the one before.
type burst struct {
	first, last int64
	n           uint64
}

// bursts are when something happened, in order, of bounded size: what lies closer together than
// gap is one.
type bursts struct {
	all []burst
	gap int64
}

const (
	leastGap   = int64(time.Second)
	mostBursts = 1 << 8
)

// add adds n events of a time or a period, in any order.
func (b *bursts) add(first, last int64, n uint64) {
	if first == 0 || n == 0 {
		return
	}
	b.gap = max(b.gap, leastGap)
	i, _ := slices.BinarySearchFunc(b.all, first-b.gap, func(x burst, at int64) int { return cmp.Compare(x.last, at) })
	b.all = slices.Insert(b.all, i, burst{first, last, n})
	b.join(i)
	for len(b.all) > mostBursts {
		b.gap *= 2
		*b = b.within(b.gap)
	}
}

// join makes one of the i-th burst and those that begin soon behind its end.
func (b *bursts) join(i int) {
	x := &b.all[i]
	end := i + 1
	for ; end < len(b.all) && b.all[end].first <= x.last+b.gap; end++ {
		x.first, x.last = min(x.first, b.all[end].first), max(x.last, b.all[end].last)
		x.n += b.all[end].n
	}
	b.all = slices.Delete(b.all, i+1, end)
}

// within are the bursts of another gap.
func (b *bursts) within(gap int64) bursts {
	w := bursts{slices.Clone(b.all), gap}
	for i := 0; i < len(w.all); i++ {
		w.join(i)
	}
	return w
}

// span is when the first was, and the last; 0: none was.
func (b *bursts) span() (first, last int64) {
	if n := len(b.all); n > 0 {
		return b.all[0].first, b.all[n-1].last
	}
	return 0, 0
}

// count is how many there were.
func (b *bursts) count() (n uint64) {
	for _, x := range b.all {
		n += x.n
	}
	return n
}

// apart are the bursts that nearly all of it was in, three events or more in each; nil: it did not
// come in bursts. By judgement they are so if they take half of the time at most; with outages,
// in which everything fails until they are over, three quarters.
func (b *bursts) apart(outages bool) []burst {
	first, last := b.span()
	for _, gap := range []time.Duration{time.Second, 10 * time.Second, time.Minute, 10 * time.Minute, time.Hour} {
		if int64(gap) < b.gap {
			continue
		}
		w := b.within(int64(gap)).all
		var busy int64
		for _, x := range w {
			busy += x.last - x.first
		}
		most := (last - first) / 2
		if outages {
			most += most / 2
		}
		if len(w) > 1 && b.count() >= 3*uint64(len(w)) && busy <= most {
			return w
		}
	}
	return nil
}

const (
	mostTold = 3 // bursts that are told one by one
	day      = time.DateOnly
	clock    = time.TimeOnly
)

// often is how often one target stopped, where that shows.
func (b *bursts) often(targets int) string {
	switch n := len(b.apart(true)); {
	case targets != 1 || n < 2:
		return ""
	case n == 2:
		return " twice"
	default:
		return " " + text.Grouped(uint64(n)) + " times"
	}
}

// when says from when to when, and how often or in which bursts; outages as apart has them.
func (b *bursts) when(x *Seen, outages bool) string {
	from, to := b.span()
	if from == 0 {
		return ""
	}
	first, last := x.time(from), x.time(to)
	oneDay := first.Format(day) == last.Format(day)
	if first.Format(time.DateTime) == last.Format(time.DateTime) {
		return first.Format(", on " + day + " at " + clock + " MST")
	}
	format, s := time.DateTime, first.Format(", from "+time.DateTime)+last.Format(" to "+time.DateTime+" MST")
	if oneDay {
		format, s = clock, first.Format(", on "+day+" from "+clock)+last.Format(" to "+clock+" MST")
	}
	told := b.apart(outages)
	if told == nil {
		return s + b.rate(to-from)
	}
	lead := fmt.Sprintf(", in %s bursts: ", text.Grouped(uint64(len(told))))
	if len(told) > mostTold {
		lead = strings.TrimSuffix(lead, ": ") + ", the largest "
		told = []burst{slices.MaxFunc(told, func(x, y burst) int { return cmp.Compare(x.n, y.n) })}
	}
	var each []string
	for _, t := range told {
		within := ""
		if t.last > t.first {
			within = " within " + text.Short(t.last-t.first)
		}
		each = append(each, text.Grouped(t.n)+within+x.time(t.first).Format(" at "+format))
	}
	return s + lead + strings.Join(each, ", ")
}

// rate is how often it happened in a time, where that means something.
func (b *bursts) rate(ns int64) string {
	n := b.count()
	if n < 10 || ns < int64(time.Second) {
		return ""
	}
	a := float64(n-1) / float64(ns)
	for _, u := range []struct {
		name string
		ns   int64
	}{{"second", 1e9}, {"minute", 60e9}, {"hour", 3600e9}} {
		if v := a * float64(u.ns); v >= 0.95 || u.name == "hour" {
			return fmt.Sprintf(" (about %s a %s)", text.Digits(v, 2), u.name)
		}
	}
	return ""
}
