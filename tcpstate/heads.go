package tcpstate

import "connrace/tcpstate/internal/framing"

// headSize is how much of a request is kept while it is outstanding: enough for the
// request line and, mostly, its trace id.
const headSize = 768

// maxHeads bounds the kept heads; beyond it requests go without method and path.
const maxHeads = 1 << 16

// heads keep the beginnings of outstanding requests, to be read when one fails.
type heads struct {
	bufs []*headBuf // [0] unused
	free []uint16
}

type headBuf struct {
	n    int
	next Seq // the octet behind what is kept
	b    [headSize]byte
}

// keep copies the octets of s from at on; a request that goes on in further segments
// is not followed.
func (hs *heads) keep(f *Flow, s *Segment, at Seq) {
	off := int(at.Sub(s.Seq))
	if off < 0 || off >= len(s.Payload) {
		hs.drop(f)
		return
	}
	if f.head == 0 {
		switch n := len(hs.free); {
		case n > 0:
			f.head = hs.free[n-1]
			hs.free = hs.free[:n-1]
		case len(hs.bufs) < maxHeads:
			if len(hs.bufs) == 0 {
				hs.bufs = append(hs.bufs, nil)
			}
			f.head = uint16(len(hs.bufs))
			hs.bufs = append(hs.bufs, new(headBuf))
		default:
			return
		}
	}
	b := hs.bufs[f.head]
	b.n = copy(b.b[:], s.Payload[off:])
	b.next = at.Add(uint32(b.n))
}

// extend appends octets that follow directly.
func (hs *heads) extend(f *Flow, s *Segment, at Seq) {
	if f.head == 0 {
		return
	}
	b := hs.bufs[f.head]
	if off := int(at.Sub(s.Seq)); at == b.next && off >= 0 && off < len(s.Payload) && b.n < headSize {
		n := copy(b.b[b.n:], s.Payload[off:])
		b.n += n
		b.next = b.next.Add(uint32(n))
	}
}

// drop gives the head of a flow back.
func (hs *heads) drop(f *Flow) {
	if f.head != 0 {
		hs.free = append(hs.free, f.head)
		f.head = 0
	}
}

// RequestHead is what a finding shows of a request.
type RequestHead = framing.RequestHead

// ParseRequestHead reads the beginning of an HTTP/1 request, however much of it there is.
// The zero value: no request.
func ParseRequestHead(p []byte) RequestHead { return framing.ParseRequestHead(p) }

// WantsNoAnswer reports whether p begins a message, of a protocol whose messages mostly are
// answered, that need not be.
func WantsNoAnswer(p []byte) bool { return framing.NoTurn(p) }

// Head is the captured beginning of the newest request; nil: none was captured. It is
// valid until the tracker's next call.
func (t *Tracker) Head(f *Flow) []byte {
	if f.head == 0 {
		return nil
	}
	b := t.heads.bufs[f.head]
	return b.b[:b.n]
}
