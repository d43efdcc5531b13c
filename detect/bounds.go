package detect

import "connrace/tcpstate"

const (
	millisecond = int64(1e6)
	second      = int64(1e9)
)

// Bounds of the targets that are told apart, where Options.MaxTargets gives none.
const (
	DefaultMaxTargets = 1 << 15
	LiveTargets       = 1 << 10

	// MaxMaxTargets is the largest Options.MaxTargets: Flow.Tag has 16 bits.
	MaxMaxTargets = 1<<16 - 2
)

// targets are the listeners that are told apart, as many as there is room for. The
// connections to all further ones are counted together.
type targets struct {
	max     int
	live    bool
	all     []*target // by Flow.Tag
	byEnd   map[tcpstate.Endpoint]*target
	cache   [256]*target // of byEnd, by cacheSlot, for new connections to find them faster
	hand    int          // where the next one to evict is looked for
	evicted uint64
}

func newTargets(o *Options) targets {
	most := o.MaxTargets
	switch {
	case most > 0:
		most = min(most, MaxMaxTargets)
	case o.Live:
		most = LiveTargets
	default:
		most = DefaultMaxTargets
	}
	return targets{max: most, live: o.Live, byEnd: map[tcpstate.Endpoint]*target{}}
}

// targetOf is the target of a flow, made when it is new.
func (d *Detector) targetOf(f *tcpstate.Flow) *target {
	if f.Tag == 0 {
		return d.assign(f) // apart, so that the rest is inlined
	}
	return d.targets.all[f.Tag-1]
}

// assign takes a flow to its target.
func (d *Detector) assign(f *tcpstate.Flow) *target {
	t := d.targets.at(d.tracker.Endpoint(f, 1-f.LB()))
	f.Tag = uint16(t.tag)
	t.flows++
	t.used = d.tracker.Now()
	t.noteLB(d.tracker.Endpoint(f, f.LB()).Addr)
	return t
}

// release takes a flow from its target, if it has one.
func (ts *targets) release(f *tcpstate.Flow) {
	if f.Tag != 0 {
		ts.all[f.Tag-1].flows--
		f.Tag = 0
	}
}

// at is the target at an endpoint, made when it is new.
func (ts *targets) at(ep tcpstate.Endpoint) *target {
	slot := &ts.cache[cacheSlot(ep)]
	if t := *slot; t != nil && t.end == ep {
		return t
	}
	t := ts.byEnd[ep]
	if t == nil {
		t = ts.add(ep)
	}
	*slot = t
	return t
}

// cacheSlot spreads the targets of one network, and those of one host.
func cacheSlot(ep tcpstate.Endpoint) uint8 { return uint8(ep.Addr.Lo) ^ uint8(ep.Port*0x9e37>>8) }

// add makes a target: in a new place, in the place of another one, or the one that stands
// for all further ones.
func (ts *targets) add(ep tcpstate.Endpoint) *target {
	if len(ts.byEnd) >= ts.max {
		old := ts.evictable()
		if old == nil {
			return ts.overflowTarget()
		}
		ts.evicted++
		ts.overflowTarget().merge(old)
		delete(ts.byEnd, old.end)
		ts.cache[cacheSlot(old.end)] = nil
		return ts.put(newTarget(ep, old.tag, ts.live))
	}
	ts.all = append(ts.all, nil)
	return ts.put(newTarget(ep, uint32(len(ts.all)), ts.live))
}

func (ts *targets) put(t *target) *target {
	ts.byEnd[t.end] = t
	ts.all[t.tag-1] = t
	return t
}

// overflowTarget stands for the targets beyond those that are told apart: their figures
// are counted together.
func (ts *targets) overflowTarget() *target {
	if t := ts.byEnd[tcpstate.Endpoint{}]; t != nil {
		return t
	}
	ts.all = append(ts.all, nil)
	t := newTarget(tcpstate.Endpoint{}, uint32(len(ts.all)), ts.live)
	t.mixed, t.told = t.tell(), &silent
	return ts.put(t)
}

// evictable is a target without a connection whose place another one may have; nil: there
// is none nearby. Of those that the hand passes it is the quiet one, or else, in a live
// analysis, the one that has been idle longest. Of a file nothing is given up but what is
// quiet.
func (ts *targets) evictable() (best *target) {
	const look = 64 // at a time: so long as a packet may take
	for range min(look, len(ts.all)) {
		if ts.hand++; ts.hand >= len(ts.all) {
			ts.hand = 0
		}
		t := ts.all[ts.hand]
		if t.flows > 0 || t.end == (tcpstate.Endpoint{}) || !t.quiet() && !ts.live {
			continue
		}
		if best == nil || t.quiet() && !best.quiet() || t.quiet() == best.quiet() && t.used < best.used {
			best = t
		}
	}
	return best
}
