package detect

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
	"strings"

	"connrace/tcpstate"
)

// pending is a finding that waits for what belongs to it: the new handshake, a retry,
// the fate of other connections, the kernel's word. Of a settled one only what may still be
// asked is kept: there may be a million of them.
type pending struct {
	f     *Finding
	t     *target   // nil: of a unix socket
	close *theClose // of the target; nil: it has not closed
	from  int64     // the new handshake and the retry come after this
	waits bool      // it is among those that are not complete
	long  bool      // it is open, and was judged again
	cut   *advice   // what is said since the way was interrupted, be that forgotten later; nil: it was not
	mass  *lbMass   // what else its LB closed when it closed this one; nil: that was not asked yet
	*expected
}

// expected is what tells a finding that waits what belongs to it, and until when; nil: it is
// complete.
type expected struct {
	lb      tcpstate.Addr
	until   int64  // then it is complete
	weight  int    // of its finding, when it was put there
	longer  int64  // until then, in truth; 0: until
	frame   uint64 // of the request, ordinal
	seq     tcpstate.Seq
	key     uint64  // of the request's head; 0: unknown
	ignored []int64 // when segments were ignored, for the kernel to be asked about
}

// closedAt is when the target closed; 0: it has not.
func (p *pending) closedAt() int64 {
	if p.close == nil {
		return 0
	}
	return p.close.Time
}

// settleTime is how long a finding waits: longer than a retry of the LB takes (findRetry),
// and than a process that is restarted takes to close all of its connections.
const settleTime = 2 * second

// maxPending bounds the requests whose findings wait, where time does not pass.
const maxPending = 1 << 16

// enqueue lets a rule's finding wait for what belongs to it. It reports whether there was
// one, and the connection is decided by it.
func (d *Detector) enqueue(x *Facts, f *Finding) bool {
	p := d.hold(x, f)
	return p != nil && !(p.f.Open && !x.Ended)
}

// hold is enqueue. It returns what waits; nil: there was no finding, or no room for one that is open.
func (d *Detector) hold(x *Facts, f *Finding) *pending {
	if f == nil {
		return nil
	}
	d.noteGone(x, f)
	d.ledger.concerns(x.flow, f)
	i, open := x.flow.Index(), f.Open && !x.Ended
	p := d.told(i)
	told := p != nil
	delete(d.mended, i)
	switch {
	case told:
		d.replace(p, f, x.of)
		f = p.f
	case open && len(d.open) >= maxOpen:
		return nil
	default:
		p = &pending{f: f}
	}
	if open {
		d.open[i] = p
	} else if told {
		delete(d.open, i)
	}
	waits, was := p.waits, p.expected
	*p = pending{f: f, t: x.of, from: f.Time, expected: &expected{lb: f.LB.Addr, until: f.Time + settleTime, ignored: f.ignored}}
	f.ignored = nil
	if r := f.Rule; r.Settle != nil && !open {
		p.until = max(p.until, r.Settle(x))
	}
	if d.mayBeProbe(f) {
		p.until = max(p.until, f.Time+scanWait)
	}
	if x.request.Set() {
		p.frame, p.seq = x.request.Frame(), x.request.Seq
		if p.key = headKey(x.head[:headEnd(x.head)]); x.stream != nil {
			p.key = streamKey(x.stream)
		}
	}
	if x.closing.Set() && x.closing.Time != 0 && !x.lbGaveUp() && f.Rule.FollowsClose != NoClose {
		p.close = &theClose{Close: x.targetClose(x.closing.Time), aborted: x.aborted, announced: x.announced(), rtt: x.rtt()}
	}
	d.count(x, f)
	if p.waits = true; waits { // it has its place in the heap
		p.until, p.longer, p.weight = was.until, p.until, was.weight
		return p
	}
	for len(d.pending) > 0 && d.waiting+f.weight() > maxPending {
		d.complete(d.pop())
	}
	d.push(p)
	d.due = d.pending[0].until
	if d.opt.OnIncident != nil && !told {
		d.opt.OnIncident(f)
	}
	return p
}

// count notes with the target and the totals what a finding says of them.
func (d *Detector) count(x *Facts, f *Finding) {
	t := x.of
	t.maxWaiting = max(t.maxWaiting, f.Measures.Waiting)
	switch f.Rule.Queue {
	case FullForSYNs:
		t.tell().drops.Add(f.Time, f.Stream)
	case FullForACKs:
		t.tell().overflows.Add(f.Time, 0)
	}
	if f.Rule.advise != nil && f.Measures.Idle.Known {
		t.tell().gone.Add(f.Measures.Idle.NS)
	}
	if f.Lost && f.Request != nil && f.Rule.Race && f.Measures.Idle.Known {
		t.tell().crossed++
	}
	if f.Severity == Error {
		d.totals.RSTAfterFIN.Explained += uint64(x.ln.NRSTAfterFIN) + uint64(x.tn.NRSTAfterFIN)
	}
}

// gatherTime is how long findings whose time has come wait for others, where a host is asked about
// them: to ask costs much more than what is asked.
const gatherTime = second / 4

// tracked is called behind a segment, at the latest when findings are due.
func (d *Detector) tracked() {
	if d.opt.OnSegment != nil {
		d.opt.OnSegment(d.tracker.Newest())
	}
	if now := d.tracker.Now(); now >= d.due {
		d.flushDue(now)
	}
}

// flushDue completes the findings whose time has come.
func (d *Detector) flushDue(now int64) {
	if d.opt.Host != nil && now < d.asked+gatherTime {
		return
	}
	var due []*pending
	for len(d.pending) > 0 && d.pending[0].until <= now {
		switch p := d.pop(); {
		case p.longer > now:
			p.until, p.longer = p.longer, 0
			d.push(p)
		case d.probed(p.f) && p.f.ID == 0:
			p.waits = false
		case d.opt.Host != nil:
			due = append(due, p)
		default:
			d.complete(p)
		}
	}
	if len(due) > 0 {
		d.asked = now
		d.complete(due...)
	}
	if d.due = never; len(d.pending) > 0 {
		d.due = d.pending[0].until
	}
}

// push lets a finding wait.
func (d *Detector) push(p *pending) {
	p.weight = p.f.weight()
	d.waiting += p.weight
	heap.Push(&d.pending, p)
}

// pop is the one of those that wait that is due first.
func (d *Detector) pop() *pending {
	p := heap.Pop(&d.pending).(*pending)
	d.waiting -= p.weight
	return p
}

// complete enriches findings and hands them over, or what has become of those that were told.
func (d *Detector) complete(ps ...*pending) {
	for _, p := range ps {
		p.waits = false
		d.enrich(p)
	}
	d.askHost(ps)
	for _, p := range ps {
		if p.f.Rule.Repeated {
			d.gradeWait(p) // by those before it, be they of the same batch
		}
		if p.t != nil {
			p.t.noteSilence(p.f)
		}
		if p.f.ID == 0 {
			d.emit(p)
		} else if d.explain(p); d.opt.OnUpdate != nil {
			d.opt.OnUpdate(p.f)
		}
		p.expected = nil
	}
}

// never is when no finding is due.
const never = math.MaxInt64

// enrich adds to a finding what has come since that belongs to it.
func (d *Detector) enrich(p *pending) {
	f := p.f
	if f.Lost && f.Request != nil {
		if m, ok := p.t.synAfter(p.lb, p.from, p.frame); ok {
			s := d.settings()
			f.Evidence = append(f.Evidence, s.evidence(m, true, RoleNewHandshake, "the load balancer opens a new connection"))
			sortEvidence(f.Evidence)
		}
	}
	if f.Rule.Queue == FullForACKs && f.Measures.RST != "" && d.resetUsed(p) {
		f.Confidence = Suspected
		f.Grounds += "; connections that were in use met such an RST at that time, too, which no full queue sends"
		f.Summary = strings.TrimSuffix(f.Summary, noRoom)
		f.own = resetInBetween
	}
	if f.Rule.Ignored() {
		p.gradeQueue(!d.kernel.Empty())
		d.applyKernel(p)
	}
	d.findRetry(p)
	if p.close != nil {
		p.close.mass = p.t.told.closes.Together(&p.close.Close)
	}
}

// resetInBetween is what is said of connections that met an RST right behind their handshake, where others did that
// had been accepted.
var resetInBetween = &advice{
	"Connections that were in use were reset at that time, too, which no full queue does: rather something on the way, or a filter on the target's host, resets what it does not know or like.",
	"Look at the firewalls, NAT and filters between the two and on the target's host (reject with tcp reset), and at what changed at that time. Whether it is the accept queue after all, " +
		"`nstat -az TcpExtListenOverflows` on the target tells.",
}

// resetUsed reports whether a request on a used connection to the same target met a bare RST at the time of a finding.
func (d *Detector) resetUsed(p *pending) bool {
	const (
		near = 10 * second
		most = 100 // findings that are looked at
	)
	for _, o := range d.settled[max(len(d.settled)-most, 0):] {
		if o.t == p.t && o.f.Rule == StaleConnection && o.f.Measures.RST != "" && max(p.f.Time-o.f.Time, o.f.Time-p.f.Time) <= near {
			return true
		}
	}
	return false
}

// gradeQueue grades a finding about ignored segments by what else happened to its listener. What
// the kernel says, where it is asked, comes behind.
func (p *pending) gradeQueue(kernel bool) {
	f := p.f
	first := f.Time
	last := first
	for _, e := range f.Evidence {
		last = max(last, e.Time)
	}
	lossy := p.t.told.lossy(first, last)
	if r := f.Rule.ifLossy(); lossy && r != nil && f.Severity == Warning && !f.Open && !kernel {
		f.Rule, f.Confidence = r, Suspected
		f.Grounds = "data of accepted connections to it was lost at that time, too"
	}
	overflowed := !lossy && p.t.told.overflowNear(first, last)
	if f.Rule.IfFull != nil && overflowed && !f.Dead {
		f.Rule = f.Rule.IfFull
		f.Grounds = "the listener's accept queue was found full within 10 s"
	}
	if f.Rule.Queue == FullForSYNs && f.Confidence == Suspected && (overflowed || p.t.told.dropNear(first, last, f.Stream)) {
		f.Confidence = Likely
		f.Grounds += "; other connections to it suffered with it"
	}
}

// explain gives a finding its close cause, cause and fix.
func (d *Detector) explain(p *pending) {
	d.explainRule(p)
	if a := p.f.more; a != nil && p.t != nil {
		p.f.Cause += " " + a.cause
		if a.fix != "" {
			p.f.Fix += " " + a.fix
		}
	}
}

func (d *Detector) explainRule(p *pending) {
	f := p.f
	if p.t == nil {
		return
	}
	var cause *CloseCause
	if p.close != nil && f.Lost {
		cause, f.Measures.CloseCauseBasis = p.close.cause(p.t)
		f.Measures.CloseCause = cause.ID
	}
	cut := cmp.Or(p.cut, p.t.interrupted(f))
	if !f.Open { // else it may yet stay silent for longer than others
		p.cut = cut
	}
	if cut != nil && f.own == nil {
		f.Cause, f.Fix = cut.cause, cut.fix
		return
	}
	if f.Rule.advise != nil && f.own == nil {
		if a := f.Rule.advise(f, idleBounds{p.t.told.longest, p.t.told.gone.All()}); a != nil {
			f.Cause, f.Fix = a.cause, a.fix
			return
		}
	}
	if f.own != nil {
		f.Cause, f.Fix = f.own.cause, f.own.fix
		return
	}
	ts := p.t.allTimers(p.close, d.opt.LBIdleTimeout)
	f.Cause, f.Fix = cause.causeFor(f.Rule, ts)+f.also, cause.fixFor(f.Rule, ts)
}

// explainAgain says what has been learnt about a finding since.
func (d *Detector) explainAgain(p *pending) {
	f := p.f
	measures, cause, fix := f.Measures, f.Cause, f.Fix
	d.explain(p)
	if d.opt.OnUpdate != nil && (f.Measures != measures || f.Cause != cause || f.Fix != fix) {
		d.opt.OnUpdate(f)
	}
}

// emit hands a complete finding over.
func (d *Detector) emit(p *pending) {
	if d.opt.Live || d.opt.OnFinding != nil {
		d.explain(p) // else nobody looks before Finish does it with better timers
	}
	d.nextID++
	p.f.ID = d.nextID
	d.tally(p, 1)
	p.f.Inexact = d.inexact(p.f)
	if es := p.f.Evidence; cap(es) > len(es) {
		p.f.Evidence = slices.Clone(es) // room for more would be for nothing
	}
	if d.opt.Live || d.kept < d.maxFindings() {
		d.kept += p.f.weight()
		d.findings = append(d.findings, p.f)
		d.settled = append(d.settled, p)
		d.forget()
	} else if d.opt.Connections {
		d.forgotten.add(p.f, maxGroupsJoined)
	} else {
		d.forgotten.add(p.f, maxGroups)
	}
	if d.opt.OnFinding != nil {
		d.opt.OnFinding(p.f)
	}
}

// maxFindings bounds the requests whose findings are kept: their memory is of the order of the flow
// table's.
func (d *Detector) maxFindings() int {
	most := d.opt.MaxFlows
	if most == 0 {
		most = tcpstate.DefaultMaxFlows
	}
	most = max(most/4, 1<<14)
	if d.opt.Connections {
		most = min(most, mostJoined)
	}
	return most
}

// mostJoined bounds them where captures are joined: as many are held again for each of those, about
// 4 KB each with what else is held of their connections.
const mostJoined = 1 << 16

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

// pendings is a heap, the first due on top.
type pendings []*pending

func (h pendings) Len() int           { return len(h) }
func (h pendings) Less(i, j int) bool { return h[i].until < h[j].until }
func (h pendings) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push is heap.Interface's.
func (h *pendings) Push(x any) { *h = append(*h, x.(*pending)) }

// Pop is heap.Interface's.
func (h *pendings) Pop() any {
	o := *h
	x := o[len(o)-1]
	*h = o[:len(o)-1]
	return x
}
