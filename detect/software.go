package detect

import (
	"bytes"
	"strings"

	"connrace/detect/internal/software"
	"connrace/tcpstate"
)

// Software is what a server or a load balancer is, and from what that is known.
type Software = software.Software

// who gathers what a target and its LBs are.
type who struct {
	server, lb        software.Opinion
	answers, requests uint32 // that came; of most of them nothing is looked at
}

// The first heads of a target are looked at, and of later ones a sample: what it is does not
// change often.
const (
	firstHeads  = 16
	sampleHeads = 256
)

// due counts a head, and reports whether it is to be looked at.
func due(n *uint32) bool {
	*n++
	return *n <= firstHeads || *n%sampleHeads == 0
}

// noteRequestHead looks at who wrote the request that begins with a segment, at a target that has
// told something: of the others nothing is kept.
func (d *Detector) noteRequestHead(t *target, e *tcpstate.Event) {
	w := &t.told.who
	if t.told == &silent || !due(&w.requests) || e.Head == 0 {
		return
	}
	off := int(d.tracker.Request(e.Flow).Seq.Sub(e.Seg.Seq))
	if off >= 0 && off+e.Head <= len(e.Seg.Payload) {
		w.lb.Add(software.OfRequest(e.Seg.Payload[off : off+e.Head]))
	}
}

// noteAnswerHead looks at who wrote the answer that begins with a segment.
func (d *Detector) noteAnswerHead(t *target, e *tcpstate.Event) {
	w := &t.tell().who
	if e.Flow.HTTP2() || !due(&w.answers) {
		return
	}
	lb, _ := e.Flow.Sides()
	if off := int(lb.AnswerSeq.Sub(e.Seg.Seq)); off >= 0 && off < len(e.Seg.Payload) {
		w.server.Add(software.OfAnswer(wholeHead(e.Seg.Payload[off:])))
	}
}

// noteAnswerFields looks at who wrote an answer of HTTP/2, and at the settings of both sides. The fields of its
// requests tell nothing that is sure: a user agent (grpc-go, grpc-java) is the client's, and load balancers pass it on.
func (d *Detector) noteAnswerFields(t *target, f *tcpstate.Flow, s *tcpstate.H2Stream) {
	w := &t.tell().who
	if !due(&w.answers) {
		return
	}
	w.lb.Add(software.OfClientSettings(d.tracker.FirstSettings(f, false)))
	if server, passedOn := d.tracker.AnswerServer(f); !passedOn {
		grpc := strings.HasPrefix(s.ContentType, "application/grpc")
		w.server.Add(software.OfHTTP2(software.OfField(server), software.OfServerSettings(d.tracker.FirstSettings(f, true), grpc)))
	}
}

// wholeHead is p up to and with the empty line that ends its head; nil: that is not there.
func wholeHead(p []byte) []byte {
	if i := bytes.Index(p, []byte("\r\n\r\n")); i >= 0 {
		return p[:i+4]
	}
	return nil
}

// software is what the target and its LBs are; nil: unknown.
func (t *target) software(own *timer) (server, lb *Software) {
	w := &t.told.who
	if server = w.server.Said(); server == nil && own != nil && own.Advertised.Known && w.server.Silent() {
		server = lateSoftware(own.NS - own.Advertised.NS)
	}
	return server, w.lb.Said()
}
