package detect

import (
	"bytes"
	"container/heap"
	"hash/maphash"
	"math"

	"connrace/tcpstate"
)

// incident is a finding that waits for what belongs to it: the new handshake, a retry,
// the fate of other connections.
type incident struct {
	f       *Finding
	t       *target
	lb      tcpstate.Addr
	from    int64  // the new handshake and the retry come after this
	until   int64  // then it is complete
	frame   uint64 // of the newest evidence, ordinal
	key     uint64 // of the request's head; 0: unknown
	gap     int64  // idle age of the target's close; -1: none
	closeAt int64
	seen    bool    // the target had seen the request when it closed
	aborted bool    // it closed by an RST, the request unread
	moments []int64 // when segments were ignored, for the kernel to be asked about
	mass    struct {
		n      int   // connections that the target closed in that moment
		alike  int   // those of about the incident's own idle age
		lo, hi int64 // their idle ages
	}
}

// report takes a rule's finding.
func (d *Detector) report(c *conn, f *Finding) {
	in := &incident{f: f, t: c.t, lb: f.LB.Addr, from: f.Time, gap: -1, moments: c.moments}
	in.until = f.Time + 2*second
	switch f.Rule.Queue {
	case FullForSYNs:
		c.t.drops.add(drop{f.Time, f.Stream})
		in.until = c.now + 10*second
	case MaybeFull:
		in.until = c.now + 10*second
	case FullForACKs:
		c.t.noteOverflow(f.Time)
		if d.kernel != nil {
			in.until = max(in.until, c.now+second) // it may still have something to say
		}
	}
	if c.request.Set() {
		in.frame = c.request.Frame()
		h := d.tracker.Head(c.flow)
		in.key = headKey(h[:headEnd(h)])
	}
	if c.closing.Set() && !c.lbGaveUp() {
		in.closeAt = c.closing.Time
		in.seen, in.aborted = c.closeHadSeenRequest(), c.aborted
		if f.Measures.Idle.Known {
			in.gap = f.Measures.Idle.NS
		}
	}
	if f.Lost && f.Request != nil {
		d.totals.LostRequests++
		c.t.lost++
		if f.Rule.Race && f.Measures.Idle.Known {
			c.t.crossed++
		}
	}
	if f.Severity == Error {
		for i := range 2 {
			d.totals.RSTAfterFIN.Explained += uint64(d.tracker.Notes(c.flow).Half[i].NRSTAfterFIN)
		}
	}
	if len(d.open) >= maxOpen {
		d.complete(heap.Pop(&d.open).(*incident))
	}
	heap.Push(&d.open, in)
	d.due = d.open[0].until
	if d.opt.OnIncident != nil {
		d.opt.OnIncident(f)
	}
}

// maxOpen bounds the incidents that wait, where time does not pass.
const maxOpen = 1 << 16

// close completes the incidents whose time has come.
func (d *Detector) close(now int64) {
	for len(d.open) > 0 && d.open[0].until <= now {
		d.complete(heap.Pop(&d.open).(*incident))
	}
	if d.due = never; len(d.open) > 0 {
		d.due = d.open[0].until
	}
}

// never is when no incident is due.
const never = math.MaxInt64

// incidents is a heap, the first due on top.
type incidents []*incident

func (h incidents) Len() int           { return len(h) }
func (h incidents) Less(i, j int) bool { return h[i].until < h[j].until }
func (h incidents) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is heap.Interface's.
func (h *incidents) Push(x any) { *h = append(*h, x.(*incident)) }

// Pop is heap.Interface's.
func (h *incidents) Pop() any {
	o := *h
	x := o[len(o)-1]
	*h = o[:len(o)-1]
	return x
}

func (d *Detector) complete(in *incident) {
	f := in.f
	if f.Lost && f.Request != nil {
		if m, ok := in.t.synAfter(in.lb, in.from, in.frame); ok {
			capture, frame := d.tracker.Locate(m.Frame())
			f.Evidence = append(f.Evidence, Evidence{
				Capture: capture, Stream: m.Stream, Frame: frame, Time: m.Time, FromLB: true,
				Flags: m.Flags(), Seq: m.Seq, Ack: m.Ack, Len: m.Len, Role: RoleNewHandshake,
				Note: "the LB opens a new connection",
			})
			sortEvidence(f.Evidence)
		}
	}
	switch f.Rule.Queue {
	case MaybeFull, FullForSYNs:
		d.gradeSYN(in)
		d.hear(in)
	case FullForACKs:
		d.hear(in)
	}
	d.findRetry(in)
	if in.closeAt != 0 {
		in.together()
	}
	if f.Rule.Learnt == ByOwnClose {
		d.repeatedWait(in)
	}
	d.finish(in)
}

// finish hands a complete finding over.
func (d *Detector) finish(in *incident) {
	if d.opt.Live || d.opt.OnFinding != nil {
		d.explain(in) // else nobody looks before conclude does it with better timers
	}
	d.nextID++
	in.f.ID = d.nextID
	in.f.Inexact = d.inexact(in.f)
	if d.opt.Live || len(d.findings) < d.maxFindings() {
		d.findings = append(d.findings, in.f)
		d.incidents = append(d.incidents, in)
		d.forget()
	} else {
		d.forgotten.add(in.f)
	}
	if d.opt.OnFinding != nil {
		d.opt.OnFinding(in.f)
	}
}

// maxFindings bounds the findings that are kept: their memory is of the order of the flow
// table's.
func (d *Detector) maxFindings() int {
	most := d.opt.MaxFlows
	if most == 0 {
		most = tcpstate.DefaultMaxFlows
	}
	return max(most/4, 1<<14)
}

// inexact reports whether a stream number of a finding may not be Wireshark's.
func (d *Detector) inexact(f *Finding) bool {
	if f.HasStream && !d.tracker.Exact(f.Capture, f.Stream) {
		return true
	}
	for i := range f.Evidence {
		if e := &f.Evidence[i]; !d.tracker.Exact(e.Capture, e.Stream) {
			return true
		}
	}
	return false
}

// repeatedWait takes a wait that occurs twice for the LB's timeout.
func (d *Detector) repeatedWait(in *incident) {
	g := in.f.Measures.Outstanding.NS
	if g < 100*millisecond {
		return
	}
	for i := len(d.incidents) - 1; i >= 0 && i > len(d.incidents)-1000; i-- {
		o := d.incidents[i]
		if o.t != in.t || o.f.Rule != in.f.Rule {
			continue
		}
		if diff := o.f.Measures.Outstanding.NS - g; diff > -15*millisecond && diff < 15*millisecond {
			in.f.Severity = Error
			if o.f.Severity != Error {
				o.f.Severity = Error
				if d.opt.OnUpdate != nil {
					d.opt.OnUpdate(o.f)
				}
			}
			return
		}
	}
}

// gradeSYN grades a SYN finding by what else happened to its listener.
func (d *Detector) gradeSYN(in *incident) {
	f := in.f
	first := f.Time
	last := first
	for _, e := range f.Evidence {
		last = max(last, e.Time)
	}
	if f.Rule.IfFull != nil && in.t.overflowNear(first, last) {
		f.Rule = f.Rule.IfFull
		f.Grounds = "the listener's accept queue was found full within 10 s"
	}
	if f.Rule.Queue != FullForSYNs {
		return
	}
	together := in.t.overflowNear(first, last)
	for _, s := range in.t.drops.v {
		together = together || s.stream != f.Stream && s.at >= first-10*second && s.at <= last+10*second
	}
	if together && f.Confidence == Suspected {
		f.Confidence = Likely
		f.Grounds += "; other connections to it suffered with it"
	}
}

// recentRequest is a request that may be the retry of a lost one.
type recentRequest struct {
	key    uint64
	time   int64
	frame  uint64 // ordinal
	stream uint32
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
	d.recent.add(recentRequest{k, e.Time, r.Frame(), r.Stream})
}

// findRetry looks for the same request on another connection after the loss. Without an
// id of its own the same head may come again by itself: then it must follow at once.
func (d *Detector) findRetry(in *incident) {
	f := in.f
	if in.key == 0 || !f.Lost {
		return
	}
	within := 2 * second
	if f.Request.TraceID == "" && f.Request.RequestID == "" {
		within = 200 * millisecond
	}
	// The LB tries again when it knows of the loss: not before the first close or RST.
	known, lost := int64(math.MaxInt64), in.from
	for _, e := range f.Evidence {
		switch e.Role {
		case RoleFIN, RoleRST, RoleCloseNotify, RoleLBFIN, RoleLBRST:
			known = min(known, e.Time)
			lost = max(lost, min(e.Time, in.from+second))
		}
	}
	for i := d.recent.search(func(r *recentRequest) bool { return r.frame > in.frame }); i < len(d.recent.v); i++ {
		r := d.recent.at(i)
		if r.time > lost+within {
			return
		}
		if r.key == in.key && r.stream != f.Stream && r.time >= known {
			_, frame := d.tracker.Locate(r.frame)
			f.Measures.Retried, f.Measures.RetryStream, f.Measures.RetryFrame = true, r.stream, frame
			return
		}
	}
}
