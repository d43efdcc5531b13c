package detect

import (
	"hash/maphash"
	"math/bits"
	"math/rand/v2"

	"connrace/tcpstate"
)

// roles tell which end is the LB's of a flow whose handshake was not captured: by the
// user's flags, else by what handshakes and earlier flows showed to be a shared endpoint.
type roles struct {
	isTarget, isLB func(tcpstate.Endpoint) bool
	live           bool
	shared         ends // how many connections they have
}

// Bounds of the endpoints that are counted.
const (
	maxShared  = 1 << 20
	liveShared = 1 << 16
)

func newRoles(o *Options) roles {
	return roles{isTarget: o.IsTarget, isLB: o.IsLB, live: o.Live}
}

// of is tcpstate.Config.Role.
func (r *roles) of(a, b tcpstate.Endpoint) (int, tcpstate.Basis) {
	if is := r.isTarget; is != nil && is(a) != is(b) {
		if is(a) {
			return 1, tcpstate.ByFlag
		}
		return 0, tcpstate.ByFlag
	}
	if is := r.isLB; is != nil && is(a) != is(b) {
		if is(a) {
			return 0, tcpstate.ByFlag
		}
		return 1, tcpstate.ByFlag
	}
	return r.sharedEnd(a, b)
}

// sharedEnd tells the LB's end by the other end's being shared by several connections.
func (r *roles) sharedEnd(a, b tcpstate.Endpoint) (int, tcpstate.Basis) {
	switch na, nb := r.shared.several(endKey(a)), r.shared.several(endKey(b)); {
	case na && !nb:
		return 1, tcpstate.ByShared
	case nb && !na:
		return 0, tcpstate.ByShared
	}
	return -1, 0
}

// note counts a connection of an endpoint.
func (r *roles) note(ep tcpstate.Endpoint) {
	if r.live && r.shared.n >= liveShared {
		r.shared = ends{} // whoever is shared shows it again soon
	}
	r.shared.note(endKey(ep), maxShared)
}

// ends count the connections of endpoints as far as two: an open table with linear probing of
// their keys, of which the lowest bit says that there were several. 0 is nobody.
type ends struct {
	slots []uint64
	n     int
}

// at is the place of a key in the table, or where it would be.
func (e *ends) at(key uint64) *uint64 {
	mask := uint64(len(e.slots) - 1)
	hi, lo := bits.Mul64(key, endFactor)
	for i := hi ^ lo; ; i++ {
		if p := &e.slots[i&mask]; *p == 0 || *p&^1 == key {
			return p
		}
	}
}

// several reports whether the endpoint of a key had more than one connection.
func (e *ends) several(key uint64) bool { return e.n > 0 && *e.at(key)&1 != 0 }

// note counts a connection of a key, if it is one of the first so many.
func (e *ends) note(key uint64, most int) {
	if 4*(e.n+1) > 3*len(e.slots) {
		old := e.slots
		e.slots = make([]uint64, max(2*len(old), 64))
		for _, k := range old {
			if k != 0 {
				*e.at(k &^ 1) = k
			}
		}
	}
	switch p := e.at(key); {
	case *p != 0:
		*p |= 1
	case e.n < most:
		*p = key
		e.n++
	}
}

// endKey stands for an endpoint: of IPv4 it is address and port. It is even, and not 0.
func endKey(ep tcpstate.Endpoint) uint64 {
	if ep.Addr.Is4() {
		return (ep.Addr.Lo<<16|uint64(ep.Port))<<1 | 1<<63
	}
	return maphash.Comparable(endSeed, ep)&^1 | 2
}

var (
	endSeed   = maphash.MakeSeed()
	endFactor = rand.Uint64() | 1<<63 | 1 // keeps a capture from being made of endpoints that meet in the table
)

// resolveRoles looks again at the roles of a flow without a handshake: a shared endpoint
// may have shown itself since.
func (d *Detector) resolveRoles(f *tcpstate.Flow) {
	if f.Basis() <= tcpstate.ByFlag {
		return
	}
	i, b := d.roles.sharedEnd(d.tracker.Endpoint(f, 0), d.tracker.Endpoint(f, 1))
	if i < 0 {
		return
	}
	changed := i != f.LB()
	f.SetLB(i, b)
	if changed {
		d.changeTarget(f)
	}
}

func (d *Detector) onRolesChanged(e *tcpstate.Event) { d.changeTarget(e.Flow) }

// changeTarget takes a flow to the target that it has now. What was told of it blames the other end:
// it is judged anew.
func (d *Detector) changeTarget(f *tcpstate.Flow) {
	old := d.targetOf(f)
	d.conclude(f, wasTurned)
	old.connections--
	old.kept().waits.takeBack(d.stalled, f.Index())
	d.targets.release(f)
	t := d.targetOf(f)
	t.connections++
	if d.standing.has(f.Index()) {
		since := d.accepted.since(f)
		old.holds(since, -1)
		t.holds(since, 1)
	}
}
