package detect

import (
	"slices"

	"connrace/tcpstate"
)

// Who speaks TLS, and with whom it is not spoken.

// noteSpoken notes what an LB and a target speak: that it was TLS or can be read.
func (d *Detector) noteSpoken(t *target, f *tcpstate.Flow) {
	if lb, _ := f.Sides(); lb.Used() {
		return // known since the first requests
	}
	a := d.tracker.Endpoint(f, f.LB()).Addr
	switch {
	case f.PlainHTTP():
		t.plain = true
		if i := slices.Index(t.lbs, a); i >= 0 {
			t.plainWith |= 1 << i
		}
	case f.TLS() && f.Handshake() == tcpstate.TLSHandshakeDone && len(d.speakTLS) < maxSpeakTLS:
		d.speakTLS[a] = struct{}{}
	}
}

// speaksTLS reports whether a host, as the LB, agreed on TLS with some target.
func (s *settings) speaksTLS(a tcpstate.Addr) bool {
	_, ok := s.speakTLS[a]
	return ok
}

// maxSpeakTLS bounds the hosts that are known to.
const maxSpeakTLS = 1 << 12

// servedPlain reports whether the target serves this LB without TLS.
func (x *Facts) servedPlain() bool {
	i := slices.Index(x.of.lbs, x.ends[0].Addr)
	return i >= 0 && x.of.plainWith>>i&1 != 0
}
