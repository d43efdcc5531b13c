package detect

import (
	"cmp"
	"slices"

	"connrace/tcpstate"
)

// Scan is a host that tried another's ports: what it was refused is no failure of a load
// balancer's.
type Scan struct {
	From, To tcpstate.Addr
	Ports    int
}

// scans are the hosts that were refused by ports which never served them, or turned away from
// them half-open, by the host that they tried.
type scans struct {
	by map[scanKey]*tried
	n  int // ports in all
}

type scanKey struct{ from, to tcpstate.Addr }

// tried are the ports of one host that another tried, and how often, up to a few times.
type tried struct {
	ports map[uint16]uint8
	once  int // of them tried so often that it may be a scan
	// halfOpen: the host's kernel reset a SYN-ACK, for the SYN was none of its own.
	halfOpen bool
}

// A scanner tries many ports and hardly comes back to any, by judgement; a load balancer goes on
// trying the few that it was given. One that turns away half-open shows itself sooner.
const (
	scanPorts     = 10
	scanHalfPorts = 5
	scanTries     = 2
	scanSigns     = 3           // ports, from which on it is waited for more
	scanWait      = 10 * second // in which a scan shows itself
	maxProbed     = 1 << 18     // ports that are remembered
)

// isScan reports whether it was a scan.
func (t *tried) isScan() bool {
	return t.once >= scanPorts || t.halfOpen && len(t.ports) >= scanHalfPorts
}

// note counts a try that came to nothing.
func (s *scans) note(lb, target tcpstate.Endpoint, halfOpen bool) {
	if s.n >= maxProbed || s.by == nil {
		s.by, s.n = map[scanKey]*tried{}, 0 // a scan that goes on shows itself again
	}
	k := scanKey{lb.Addr, target.Addr}
	t := s.by[k]
	if t == nil {
		t = &tried{ports: map[uint16]uint8{}}
		s.by[k] = t
	}
	t.halfOpen = t.halfOpen || halfOpen
	switch n := t.ports[target.Port]; {
	case n == 0:
		t.once++
		s.n++
	case n == scanTries:
		t.once--
	case n > scanTries:
		return
	}
	t.ports[target.Port]++
}

// probed reports whether a try was part of a scan.
func (s *scans) probed(lb, target tcpstate.Endpoint) bool {
	t := s.by[scanKey{lb.Addr, target.Addr}]
	if t == nil || !t.isScan() {
		return false
	}
	n := t.ports[target.Port]
	return n > 0 && (n <= scanTries || t.halfOpen)
}

// list are the scans, in the order of their addresses.
func (s *scans) list() (all []Scan) {
	for k, t := range s.by {
		if t.isScan() {
			all = append(all, Scan{k.from, k.to, len(t.ports)})
		}
	}
	slices.SortFunc(all, func(a, b Scan) int { return cmp.Or(compareAddrs(a.From, b.From), compareAddrs(a.To, b.To)) })
	return all
}

func compareAddrs(a, b tcpstate.Addr) int {
	return cmp.Or(cmp.Compare(a.Hi, b.Hi), cmp.Compare(a.Lo, b.Lo))
}

// noteProbe counts a try that came to nothing: of a port that never served anybody, or half-open.
func (d *Detector) noteProbe(x *Facts, halfOpen bool) {
	if halfOpen || x.of.requests == 0 {
		d.scans.note(x.ends[0], x.ends[1], halfOpen)
	}
}

// probed reports whether a finding is about a try that was part of a scan.
func (d *Detector) probed(f *Finding) bool {
	return f.Rule.About == AboutHandshake && d.scans.probed(f.LB, f.Target)
}

// mayBeProbe reports whether a finding should wait for a scan to show itself.
func (d *Detector) mayBeProbe(f *Finding) bool {
	if f.Rule.About != AboutHandshake {
		return false
	}
	t := d.scans.by[scanKey{f.LB.Addr, f.Target.Addr}]
	return t != nil && len(t.ports) >= scanSigns && t.ports[f.Target.Port] > 0
}

// takeBackProbes says of findings that were told before a scan had shown itself that they were part of it.
func (d *Detector) takeBackProbes() {
	for _, p := range d.settled {
		if f := p.f; f.Severity != Info && d.probed(f) {
			d.tally(p, -1)
			f.Severity, f.Lost, f.Open = Info, false, false
			f.Summary += "; its host tried one port after the other: a scan"
			d.tally(p, 1)
			if d.opt.OnUpdate != nil {
				d.opt.OnUpdate(f)
			}
		}
	}
}
