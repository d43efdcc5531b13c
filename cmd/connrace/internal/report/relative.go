package report

import (
	"fmt"
	"slices"

	"connrace/detect"
	"connrace/tcpstate"
)

// Story is the evidence in order, with the segment before the idle time first.
func Story(f *detect.Finding) []*detect.Evidence {
	var es []*detect.Evidence
	if x := f.IdleFrom; x != nil && !slices.ContainsFunc(f.Evidence, func(e detect.Evidence) bool {
		return e.Frame == x.Frame && e.Capture == x.Capture
	}) {
		es = append(es, x)
	}
	for i := range f.Evidence {
		es = append(es, &f.Evidence[i])
	}
	return es
}

// comments are what the makers of captures wrote on packets of the evidence, with their frames.
// Packets in a row that have the same are told once.
func comments(a *Analysis, f *detect.Finding) (lines []string) {
	before := ""
	for _, e := range Story(f) {
		if e.Comment() != "" && e.Comment() != before {
			frame := fmt.Sprint(e.Frame)
			if e.Capture != f.Capture {
				frame = fmt.Sprintf("%d:%d", a.capture(e.Capture), e.Frame)
			}
			lines = append(lines, frame+": "+e.Comment())
		}
		before = e.Comment()
	}
	return lines
}

// Relative are the sequence numbers from which those of each connection are counted, the
// LB's and the target's.
type Relative map[connection]*[2]base

// connection is one of those that a finding's evidence shows.
type connection struct {
	capture int
	stream  uint32
}

type base struct {
	seq   tcpstate.Seq
	first uint32 // what seq is shown as: 0 for a SYN, else 1, as Wireshark does
	known bool
}

// NewRelative finds them: the SYN's, else the lowest one seen.
func NewRelative(f *detect.Finding, es []*detect.Evidence) Relative {
	bs := Relative{}
	for _, e := range es {
		k := connectionOf(f, e)
		if bs[k] == nil {
			bs[k] = new([2]base)
		}
		b, s := bs[k], sideOf(e)
		if e.Flags.Has(tcpstate.SYN) {
			b[s] = base{e.Seq, 0, true}
		} else {
			b[s].lower(e.Seq)
		}
		if e.Flags.Has(tcpstate.ACK) {
			b[1-s].lower(e.Ack)
		}
	}
	return bs
}

// lower lowers the base to a number that occurs; those far away belong to something else.
func (b *base) lower(n tcpstate.Seq) {
	switch {
	case !b.known:
		*b = base{n, 1, true}
	case b.first == 1 && n.Before(b.seq) && b.seq.Sub(n) < near:
		b.seq = n
	}
}

const near = 1 << 28

// of is a number as it is shown: relative, or as it is where that makes no sense.
func (b *base) of(n tcpstate.Seq) uint32 {
	if d := n.Sub(b.seq); b.known && d >= 0 && d < near {
		return uint32(d) + b.first
	}
	return uint32(n)
}

// connectionOf is the one that a segment belongs to. A connection that goes on in another
// file may have another stream number there.
func connectionOf(f *detect.Finding, e *detect.Evidence) connection {
	other := e.Role == detect.RoleNewHandshake || e.Role == detect.RoleStalledRequest || e.Role == detect.RoleOldConnection
	if f.HasStream && e.Capture != f.Capture && !other {
		return connection{f.Capture, f.Stream}
	}
	return connection{e.Capture, e.Stream}
}

// Numbers are a segment's sequence and acknowledgment numbers as Wireshark shows them. The
// latter counts only with an ACK.
func (r Relative) Numbers(f *detect.Finding, e *detect.Evidence) (seq, ack uint32) {
	b := r[connectionOf(f, e)]
	return b[sideOf(e)].of(e.Seq), b[1-sideOf(e)].of(e.Ack)
}
