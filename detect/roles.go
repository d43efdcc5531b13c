package detect

import (
	"hash/maphash"

	"connrace/tcpstate"
)

// roles tell which end is the LB's of a flow whose handshake was not captured: by the
// user's flags, else by what handshakes and earlier flows showed to be a shared endpoint.
type roles struct {
	isTarget, isLB func(tcpstate.Endpoint) bool
	live           bool
	shared         map[uint64]uint8 // by endKey: connections, up to 2
}

// Bounds of the endpoints that are counted.
const (
	maxShared  = 1 << 20
	liveShared = 1 << 16
)

func newRoles(o *Options) roles {
	return roles{isTarget: o.IsTarget, isLB: o.IsLB, live: o.Live, shared: map[uint64]uint8{}}
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
	na, nb := r.shared[endKey(a)], r.shared[endKey(b)]
	switch {
	case na > 1 && nb <= 1:
		return 1, tcpstate.ByShared
	case nb > 1 && na <= 1:
		return 0, tcpstate.ByShared
	}
	return -1, 0
}

// note counts the connections of an endpoint, as far as 2.
func (r *roles) note(ep tcpstate.Endpoint) {
	key := endKey(ep)
	n, known := r.shared[key]
	switch {
	case n >= 2:
		return
	case known:
	case r.live && len(r.shared) >= liveShared:
		clear(r.shared) // whoever is shared shows it again soon
	case len(r.shared) >= maxShared:
		return
	}
	r.shared[key] = n + 1
}

// endKey stands for an endpoint: of IPv4 it is address and port.
func endKey(ep tcpstate.Endpoint) uint64 {
	if ep.Addr.Is4() {
		return ep.Addr.Lo<<16 | uint64(ep.Port)
	}
	return maphash.Comparable(endSeed, ep)
}

var endSeed = maphash.MakeSeed()

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
	d.ledger.turned(f)
	old.connections--
	old.kept().waits.takeBack(d.stalled, f.Index())
	d.targets.release(f)
	d.targetOf(f).connections++
}
