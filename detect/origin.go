package detect

import (
	"fmt"

	"connrace/tcpstate"
)

// Who sent an RST. Whatever lies between the two ends can send one in the name of either: a
// firewall that rejects, a load balancer that drops an idle connection, a NAT that has
// forgotten it. Of two packets of one sender the time to live is the same, as long as they
// take the same way; that of a host elsewhere is so by chance only.

// The origins of an RST (Measures.RSTOrigin), and from what they are known.
const (
	OriginTarget  = "target"
	OriginLB      = "lb"
	OriginBetween = "in-between" // neither end
	OriginUnknown = "unknown"

	OriginByTTL   = "ttl"   // its time to live, against those of its sender's other segments
	OriginByShape = "shape" // options or a window that no RST of a host has
)

// hops are the least and the most time to live of what an end is known to have sent; 0: nothing
// is known.
type hops struct{ least, most uint8 }

func (h *hops) add(ttl uint8) {
	if ttl == 0 {
		return
	}
	if h.least == 0 {
		h.least = ttl
	}
	h.least, h.most = min(h.least, ttl), max(h.most, ttl)
}

// fits reports whether a segment with that time to live may come from there; known is false
// where that cannot be told.
func (h hops) fits(ttl uint8) (fits, known bool) {
	return h.least <= ttl && ttl <= h.most, h.least != 0 && ttl != 0
}

// fewHandshakes is how many connections must have shown how far a host is, before a segment
// is held against that which is the first of its sender on its connection.
const fewHandshakes = 3

// hops are those of one end: of its segments of this connection but RSTs, or, if there are none,
// of its host's of other connections.
func (x *Facts) hops(lb bool) (h hops) {
	n, turn, newest := x.tn, x.newestAnswer, x.newestFromTarget
	if lb {
		n, turn, newest = x.ln, x.newestTurn, x.newestFromLB
	}
	for i := range n.SYNs {
		h.add(n.SYNs[i].TTL())
	}
	for _, m := range [...]tcpstate.SegRef{n.FinalACK, turn, newest, n.FIN} {
		h.add(m.TTL())
	}
	if h.least == 0 && x.of.completed >= fewHandshakes {
		return x.of.hops[side(lb)]
	}
	return h
}

// side is the index of an end where the LB's comes first.
func side(lb bool) int {
	if lb {
		return 0
	}
	return 1
}

// origin says who sent an RST that claims to be of one end, and from what that is known.
func (x *Facts) origin(r tcpstate.RSTRef, lb bool) (origin, basis string) {
	fits, known := x.hops(lb).fits(r.TTL())
	switch {
	case known && !fits:
		return OriginBetween, OriginByTTL
	case r.Flags() == tcpstate.RST && !r.Plain():
		return OriginBetween, OriginByShape
	case known && lb:
		return OriginLB, OriginByTTL
	case known:
		return OriginTarget, OriginByTTL
	}
	return OriginUnknown, ""
}

// tooSoon says of an RST in the target's name that it came sooner than the path allows, behind
// other grounds. Captured at the LB, it can answer no segment before the first one whose
// acknowledgment is its number. The clocks of captures are not good enough for that to decide.
func (x *Facts) tooSoon(r tcpstate.RSTRef) string {
	const few = 3 // round trips, the least of which is known
	rtt := &x.of.told.rtt
	answers := x.newestFromLB
	if x.request.Ack == r.Seq {
		answers = x.request
	}
	took := r.Time - answers.Time
	if x.of.told.vantage() != "lb" || rtt.N < few || answers.Ack != r.Seq || took < 0 || took >= rtt.Quantile(0)/2 {
		return ""
	}
	return fmt.Sprintf("; it came %s behind the segment that it answers, and no round trip to the target took less than %s", seconds(took), seconds(rtt.Quantile(0)))
}

// foreign reports whether an RST was sent by neither end.
func (x *Facts) foreign(r tcpstate.RSTRef, lb bool) bool {
	origin, _ := x.origin(r, lb)
	return origin == OriginBetween
}

// abort is the first active RST of one end that it did send.
func (x *Facts) abort(lb bool) tcpstate.SegRef {
	n := x.tn
	if lb {
		n = x.ln
	}
	if !n.Abort.Set() || !x.foreign(tcpstate.RSTRef{SegRef: n.Abort}, lb) {
		return n.Abort
	}
	for _, r := range n.RSTs {
		if r.Flags().Has(tcpstate.ACK) && !x.foreign(r, lb) {
			return r.SegRef
		}
	}
	return tcpstate.SegRef{}
}

// addOrigin says of a finding about an RST who sent that.
func (x *Facts) addOrigin(f *Finding) {
	m := &f.Measures
	if m.RST == "" || m.RSTOrigin != "" {
		return
	}
	m.RSTOrigin = OriginUnknown
	if len(x.tn.Refusals) > 0 {
		m.RSTOrigin, m.RSTOriginBasis = x.origin(tcpstate.RSTRef{SegRef: x.tn.Refusals[0]}, false)
		return
	}
	for _, r := range x.tn.RSTs {
		if kind := rstKind(r); kind == m.RST && !x.foreign(r, false) {
			m.RSTOrigin, m.RSTOriginBasis = x.origin(r, false)
			return
		}
	}
}

// rstKind is Measures.RST of an RST.
func rstKind(r tcpstate.RSTRef) string {
	switch {
	case r.Flags().Has(tcpstate.ACK):
		return "active"
	case r.Reply():
		return "reply"
	}
	return ""
}

// String is what is known, for people.
func (h hops) String() string {
	if h.least == h.most {
		return fmt.Sprint(h.least)
	}
	return fmt.Sprintf("%d to %d", h.least, h.most)
}
