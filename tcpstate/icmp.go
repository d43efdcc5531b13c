package tcpstate

// ICMPError is what an ICMP or ICMPv6 error says beside the header that it quotes (RFC 792, RFC
// 4443 §3).
type ICMPError struct {
	From       Addr // who sent it
	Type, Code uint8
	V6         bool
	MTU        uint32 // of what was too big: of the next link (RFC 1191 §4, RFC 4443 §3.2); else 0
}

// Unreachable reports whether it says that the destination cannot be reached. Linux ends a
// connect at once for each of them (tcp_v4_err).
func (e *ICMPError) Unreachable() bool {
	if e.V6 {
		return e.Type == 1 || e.Type == 3 && e.Code == 0
	}
	return e.Type == 3 && e.Code != 4 || e.Type == 11 && e.Code == 0
}

// Refused reports whether it is port or protocol unreachable.
func (e *ICMPError) Refused() bool {
	return e.V6 && e.Type == 1 && e.Code == 4 || !e.V6 && e.Type == 3 && (e.Code == 2 || e.Code == 3)
}

// TooBig reports whether it says that the segment is too big for the path.
func (e *ICMPError) TooBig() bool {
	return e.V6 && e.Type == 2 || !e.V6 && e.Type == 3 && e.Code == 4
}

// Name is the error's name, in the words of the RFCs; "" where it has none.
func (e *ICMPError) Name() string {
	names := unreachable4[:]
	if e.V6 {
		names = unreachable6[:]
	}
	switch {
	case e.TooBig() && e.V6:
		return "packet-too-big"
	case e.V6 && e.Type == 3 || !e.V6 && e.Type == 11:
		return "time-exceeded"
	case (e.V6 && e.Type == 1 || !e.V6 && e.Type == 3) && int(e.Code) < len(names):
		return names[e.Code]
	}
	return ""
}

// The codes of destination unreachable: RFC 792 and RFC 1812 §5.2.7.1, RFC 4443 §3.1.
var (
	unreachable4 = [...]string{
		"net-unreachable", "host-unreachable", "protocol-unreachable", "port-unreachable", "fragmentation-needed", "source-route-failed",
		"net-unknown", "host-unknown", "host-isolated", "net-prohibited", "host-prohibited", "net-unreachable-for-tos",
		"host-unreachable-for-tos", "communication-prohibited", "host-precedence-violation", "precedence-cutoff",
	}
	unreachable6 = [...]string{
		"no-route", "communication-prohibited", "beyond-scope", "address-unreachable", "port-unreachable", "source-address-failed",
		"reject-route",
	}
)

// ICMPRef is an ICMP error about a segment of a half: time and frame are its own, the rest is
// of the header that it quotes.
type ICMPRef struct {
	SegRef
	ICMPError
}

// maxICMP bounds the ICMP errors that are remembered of one half.
const maxICMP = 4

// icmpSYN is how long after an ICMP error about a SYN its sender is taken to have given up: longer
// than the pause before the second copy of a SYN (RFC 6298 §2.1; 3 s in RFC 1122).
const icmpSYN = 4 * second

// quoted accounts for a header that an ICMP error quotes. It says nothing of its flow but that
// somebody complains about what the flow sent.
func (t *Tracker) quoted(s *Segment, q *query) {
	var f *Flow
	if s.Unnumbered {
		if f = t.find(q, s); f == nil || f.flags&flowStale != 0 {
			return
		}
	} else {
		f, _ = t.lookup(s, q)
		t.newestStream = f.stream
	}
	if f.flags&flowCopy != 0 {
		t.cfg.Copy(s, f.stream)
		return
	}
	const followed = flowBegun | flowWatched
	h := &f.Half[q.dir&1]
	if s.ICMP == nil || f.flags&followed != followed || h.flags&flagCaptured == 0 || s.Seq.Before(h.ISN) || s.Seq.After(h.Nxt) {
		return // of another connection, or made up
	}
	m := &t.notes(f).Half[q.dir&1]
	if m.icmp == nil {
		m.icmp = new([]ICMPRef)
	}
	if len(*m.icmp) == maxICMP {
		return
	}
	*m.icmp = append(*m.icmp, ICMPRef{t.ref(s, f.stream, s.Seq), *s.ICMP})
	if f.flags&flowEstablished == 0 && m.SYNUnreachable() != nil {
		t.arm(f, t.now+icmpSYN)
	}
}

// ICMP are ICMP errors about segments of this half, in the order of the capture.
func (m *HalfNotes) ICMP() []ICMPRef {
	if m.icmp == nil {
		return nil
	}
	return *m.icmp
}

// SYNUnreachable is the ICMP error that said of the newest copy of this half's SYN that it cannot
// be delivered; nil: none.
func (m *HalfNotes) SYNUnreachable() *ICMPRef {
	if len(m.SYNs) == 0 {
		return nil
	}
	syn := m.SYNs[len(m.SYNs)-1]
	all := m.ICMP()
	for i := len(all) - 1; i >= 0; i-- {
		if e := &all[i]; e.Unreachable() && e.Seq == syn.Seq && e.Frame() > syn.Frame() {
			return e
		}
	}
	return nil
}
