package detect

import (
	"bytes"

	"connrace/detect/internal/software"
	"connrace/tcpstate"
)

// Software is what a server or a load balancer is, and from what that is known.
type Software = software.Software

// who gathers what a target and its LBs are.
type who struct {
	server, lb software.Opinion
	answers    uint32 // that came; of most of them nothing is looked at
}

// The first heads of a target are looked at, and of later ones a sample: what it is does not
// change often.
const (
	firstHeads  = 16
	sampleHeads = 256
)

// due reports whether the n-th head is to be looked at.
func due(n uint32) bool { return n < firstHeads || n%sampleHeads == 0 }

// noteAnswer looks at who wrote the answer that begins with a segment.
func (d *Detector) noteAnswer(t *target, f *tcpstate.Flow, s *tcpstate.Segment) {
	w := &t.tell().who
	if w.answers++; !due(w.answers-1) || s.Flags&tcpstate.SYN != 0 {
		return
	}
	lb, _ := f.Sides()
	if off := lb.AnswerSeq.Sub(s.Seq); off >= 0 && int(off) < len(s.Payload) {
		w.server.Add(software.OfAnswer(wholeHead(s.Payload[off:])))
	}
}

// wholeHead is p up to and with the empty line that ends its head; nil: that is not there.
func wholeHead(p []byte) []byte {
	if i := bytes.Index(p, []byte("\r\n\r\n")); i >= 0 {
		return p[:i+4]
	}
	return nil
}
