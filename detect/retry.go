package detect

import (
	"bytes"
	"hash/maphash"
	"math"

	"connrace/tcpstate"
)

// recentRequest is a request that may be the retry of a lost one.
type recentRequest struct {
	key    uint64
	time   int64
	frame  uint64 // ordinal
	stream uint32
	seq    tcpstate.Seq
}

var headSeed = maphash.MakeSeed()

// headKey identifies a request by its captured head; 0 without one that is long enough
// to tell requests apart.
func headKey(h []byte) uint64 {
	if len(h) < 16 {
		return 0
	}
	return maphash.Bytes(headSeed, h)
}

// requestKind identifies what a request asks for by its method and path; 0: the head does not show
// them.
func requestKind(head []byte) uint64 {
	method, rest, ok := bytes.Cut(head, []byte(" "))
	path := bytes.IndexAny(rest, " ?\r\n")
	if !ok || path <= 0 {
		return 0
	}
	return maphash.Bytes(headSeed, head[:len(method)+1+path])
}

// headEnd is where the first empty line of a head begins, or its end. It goes from line to
// line, which is faster than a search for four octets.
func headEnd(h []byte) int {
	for at := 0; ; {
		i := bytes.IndexByte(h[at:], '\n')
		if i < 0 {
			return len(h)
		}
		at += i + 1
		if at >= 2 && h[at-2] == '\r' && at+1 < len(h) && h[at] == '\r' && h[at+1] == '\n' {
			return at - 2
		}
	}
}

// noteRequest keeps a request in mind for a while.
func (d *Detector) noteRequest(e *tcpstate.Event) {
	h := d.tracker.Head(e.Flow)
	if e.Head > 0 {
		h = bytes.TrimSuffix(h[:min(e.Head, len(h))], []byte("\r\n\r\n"))
	} else {
		h = h[:headEnd(h)]
	}
	k := headKey(h)
	if k == 0 {
		return
	}
	r := d.tracker.Request(e.Flow)
	d.requests.Add(recentRequest{k, e.Time, r.Frame(), r.Stream, r.Seq})
}

// How long behind the loss a retry may come, by judgement: load balancers that try again do so
// at once, on another connection or a new one.
const (
	retryWithin    = settleTime
	sameHeadWithin = 200 * millisecond // without an id, the same head may come by itself
)

// findRetry looks for the same request on another connection after the loss. Without an
// id of its own the same head may come again by itself: then it must follow at once. One at the same
// sequence number is the same segment, which another interface showed behind the translation of an address.
func (d *Detector) findRetry(p *pending) {
	f := p.f
	if p.key == 0 || !f.Lost || f.Request == nil {
		return
	}
	within := retryWithin
	if f.Request.TraceID == "" && f.Request.RequestID == "" {
		within = sameHeadWithin
	}
	// The LB tries again when it knows of the loss: not before the first close or RST.
	known, lost := int64(math.MaxInt64), p.from
	for _, e := range f.Evidence {
		switch e.Role {
		case RoleFIN, RoleRST, RoleCloseNotify, RoleLBFIN, RoleLBRST, RoleGoAway, RoleStreamReset:
			known = min(known, e.Time)
			lost = max(lost, min(e.Time, p.from+second))
		}
	}
	again := func(key, behind uint64, seq tcpstate.Seq) *Retry {
		for i := d.requests.Search(func(r *recentRequest) bool { return r.frame > behind }); i < d.requests.Len(); i++ {
			r := d.requests.At(i)
			if r.time > lost+within {
				return nil
			}
			if r.key == key && r.seq != seq && (r.stream != f.Stream || len(f.Requests) > 0) && r.time >= known {
				_, frame := d.tracker.Locate(r.frame)
				return &Retry{r.stream, frame}
			}
		}
		return nil
	}
	for i := range f.Requests {
		q := &f.Requests[i]
		q.Retry = again(q.key, q.ordinal, q.seq)
	}
	if r := again(p.key, p.frame, p.seq); r != nil {
		f.Measures.Retried, f.Measures.RetryStream, f.Measures.RetryFrame = true, r.Stream, r.Frame
	}
}
