package detect

import (
	"hash/maphash"

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
	seen    bool // the target had seen the request when it closed
}

// report takes a rule's finding.
func (d *Detector) report(c *conn, f *Finding) {
	in := &incident{f: f, t: c.t, lb: f.LB.Addr, from: f.Time, gap: -1}
	in.until = f.Time + 2*second
	switch f.Rule {
	case SYNDropped, SYNUnanswered:
		in.until = c.now + 10*second
	}
	if c.request.Set() {
		in.frame = c.request.Frame
		in.key = headKey(d.tracker.Head(c.flow))
	}
	if c.closing.Set() {
		in.closeAt = c.closing.Time
		in.seen = c.closeHadSeenRequest()
		if f.Measures.Idle.Known {
			in.gap = f.Measures.Idle.NS
		}
	}
	if f.Lost && f.Request != nil {
		d.totals.LostRequests++
		c.t.lost++
	}
	if f.Severity == Error {
		for i := range 2 {
			d.totals.RSTAfterFIN.Explained += uint64(d.tracker.Marks(c.flow).Half[i].NRSTAfterFIN)
		}
	}
	d.open = append(d.open, in)
}

// close completes the incidents whose time has come.
func (d *Detector) close(now int64) {
	keep := d.open[:0]
	for _, in := range d.open {
		if in.until > now {
			keep = append(keep, in)
			continue
		}
		d.complete(in)
	}
	d.open = keep
}

func (d *Detector) complete(in *incident) {
	f := in.f
	if f.Lost && f.Request != nil {
		if m, ok := in.t.synAfter(in.lb, in.from, in.frame); ok {
			capture, frame := d.tracker.Locate(m.Frame)
			f.Evidence = append(f.Evidence, Evidence{
				Capture: capture, Stream: m.Stream, Frame: frame, Time: m.Time, FromLB: true,
				Flags: m.Flags, Seq: m.Seq, Ack: m.Ack, Len: m.Len, Role: RoleNewHandshake,
				Note: "the LB opens a new connection",
			})
			sortEvidence(f.Evidence)
		}
	}
	switch f.Rule {
	case SYNDropped, SYNUnanswered:
		d.gradeSYN(in)
	}
	d.explain(in)
	d.nextID++
	f.ID = d.nextID
	d.findings = append(d.findings, f)
	d.incidents = append(d.incidents, in)
	if d.opt.OnFinding != nil {
		d.opt.OnFinding(f)
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
	if f.Rule == SYNUnanswered && in.t.overflowNear(first, last) {
		f.Rule = SYNDropped
		f.Grounds = "the listener's accept queue was found full within 10 s"
	}
	if f.Rule != SYNDropped {
		return
	}
	together := false
	for _, o := range d.open {
		together = together || o != in && o.t == in.t && (o.f.Rule == SYNDropped || o.f.Rule == AcceptQueueOverflow)
	}
	for i := len(d.incidents) - 1; i >= 0 && !together; i-- {
		o := d.incidents[i]
		if o.f.Time < first-10*second {
			break
		}
		together = o.t == in.t && (o.f.Rule == SYNDropped || o.f.Rule == AcceptQueueOverflow)
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
	stream uint32
	frame  uint64
}

var headSeed = maphash.MakeSeed()

// headKey identifies a request by its captured head; 0 without one that is complete
// enough to tell requests apart.
func headKey(h []byte) uint64 {
	if len(h) < 16 {
		return 0
	}
	return maphash.Bytes(headSeed, h)
}

// retries looks whether a request that begins is the retry of a lost one.
func (d *Detector) retries(e *tcpstate.Event) {
}
