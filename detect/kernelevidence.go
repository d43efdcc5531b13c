package detect

import (
	"fmt"
	"strings"

	"connrace/detect/internal/kernel"
	"connrace/tcpstate"
)

// What the kernel of the target's host says, where the capture is taken there.
type (
	KernelSample   = kernel.Sample
	KernelListener = kernel.Listener
	KernelSocket   = kernel.Socket
	KernelCounters = kernel.Counters
	Kernel         = kernel.Figures
)

// TinyBacklog is a backlog that a handful of connections at once overflows. The defaults
// of servers begin at 100.
const TinyBacklog = 16

// BacklogWarning says what is wrong with a listener's backlog; "": nothing.
func BacklogWarning(limit, somaxconn uint32) string {
	const small = 512 // what servers ask for by themselves
	switch {
	case limit <= TinyBacklog && limit == somaxconn:
		return fmt.Sprintf("its listen backlog is %d, as net.core.somaxconn clamps it: %d connections that come at once fill it", limit, limit+1)
	case limit <= TinyBacklog:
		return fmt.Sprintf("its listen backlog is %d: %d connections that come at once fill it", limit, limit+1)
	case limit == somaxconn && limit < small:
		return fmt.Sprintf("its listen backlog is %d, all that net.core.somaxconn allows: a larger one in the server's configuration has no effect", limit)
	}
	return ""
}

// AddSample adds what the kernel says now. Its time is that of the segments' clock.
func (d *Detector) AddSample(s *KernelSample) {
	for _, full := range d.kernel.Add(s) {
		d.socketFull(full, s.Time)
	}
}

// socketFull reports a unix socket without room: a warning, for who was turned away is
// not known.
func (d *Detector) socketFull(s *KernelSocket, now int64) {
	k := Kernel{Queue: s.Queue, Limit: s.Limit}
	f := &Finding{
		Rule: AcceptQueueOverflow, Severity: Warning, Confidence: Likely, Socket: s.Path, Time: now,
		Grounds:   "the kernel: " + k.String() + "; whether a connection was refused meanwhile is in the load balancer's log",
		RoleBasis: "flag",
		Measures:  Measures{Waiting: int(s.Queue), Kernel: &k},
		Summary:   fmt.Sprintf("the queue of %s was full, %d of %d: connect() gives EAGAIN (\"Resource temporarily unavailable\")", s.Path, s.Queue, s.Limit),
		Cause:     AcceptQueueOverflow.Cause, Fix: AcceptQueueOverflow.Fix,
	}
	d.emit(&pending{f: f})
}

// listener is who listens on a target of this host; nil: it is another's, or not known.
func (d *Detector) listener(e tcpstate.Endpoint) *kernel.State {
	if d.kernel.Empty() || d.opt.IsLocal != nil && !d.opt.IsLocal(e.Addr) {
		return nil
	}
	return d.kernel.At(e)
}

// pendingAfter is how long a SYN must have had no answer for the kernel to be asked why: as
// long as between two samples.
const pendingAfter = 200 * millisecond

// kernelDropped reports whether the kernel says that a SYN has no answer yet for want of room.
func (d *Detector) kernelDropped(x *Facts) bool {
	if x.Now-x.ln.SYNs[0].Time < pendingAfter {
		return false
	}
	var moments []int64
	for _, s := range x.ln.SYNs {
		moments = append(moments, s.Time)
	}
	a, ok := d.kernel.Ask(d.listener(x.ends[1]), moments)
	return ok && a.Proves()
}

// applyKernel grades a finding about ignored segments by what the kernel says.
func (d *Detector) applyKernel(p *pending) {
	f := p.f
	x, ok := d.kernel.Ask(d.listener(f.Target), p.ignored)
	if !ok {
		return
	}
	figures := x.Figures
	f.Measures.Kernel = &figures
	said := "the kernel: " + x.Figures.String()
	syns := f.Rule.Queue != FullForACKs
	switch {
	case x.Proves():
		d.confirm(p, said, Certain)
	case 2*x.SYNQueue >= x.Moments && (2*x.Own >= x.Moments || x.Sole) && syns:
		d.confirm(p, said+", the queue of half-open connections was full", Certain)
	case 2*x.Full >= x.Moments && x.Overflow == 0:
		d.confirm(p, said+", but no overflow was counted", Likely)
	case 2*x.Full >= x.Moments:
		d.confirm(p, said, Likely)
	case x.Overflow > 0, x.SYNQueue > 0 && syns:
		d.confirm(p, said+", which may be another listener's", Likely)
	default:
		f.Grounds += "; the kernel found the listener's queue at most " + strings.TrimPrefix(x.Figures.String(), "queue ") + " and counted no overflow"
	}
}

// confirm upgrades a suspected queue overflow to the confidence that the kernel's counters
// support.
func (d *Detector) confirm(p *pending, said string, c Confidence) {
	f := p.f
	if f.Rule.IfFull != nil {
		f.Rule = f.Rule.IfFull
		f.Grounds = said
		p.t.tell().drops.Add(f.Time, f.Stream)
	} else {
		f.Grounds = said + "; " + f.Grounds
	}
	if d.gaps.near(f.Time) {
		c = min(c, Likely) // the answer may be what is missing in the capture
	}
	f.Confidence = max(f.Confidence, c)
	for i := range f.Evidence {
		if e := &f.Evidence[i]; e.FromLB && e.Time == p.ignored[0] {
			e.Note += " (" + said + ")"
			break
		}
	}
}

// awaited are handshakes with this host's listeners that may still be without an answer,
// the oldest first.
type awaited []awaitedSYN

type awaitedSYN struct {
	flow   uint32
	opened int64
}

const (
	maxAwaited = 1 << 10
	// slowSYN is how long a SYN is without an answer before the kernel is asked more often.
	slowSYN = 10 * millisecond
)

// await keeps a SYN to a listener of this host in mind.
func (d *Detector) await(f *tcpstate.Flow, opened int64, target tcpstate.Endpoint) {
	if !d.kernel.Empty() && len(d.awaited) < maxAwaited && d.listener(target) != nil {
		d.awaited = append(d.awaited, awaitedSYN{f.Index(), opened})
	}
}

// Urgent reports whether samples of the kernel are wanted more often than else: SYNs to
// a listener of this host go unanswered, or a queue is near its limit.
func (d *Detector) Urgent(now int64) bool {
	if d.kernel.Empty() {
		return false
	}
	n := 0
	for n < len(d.awaited) && !d.unanswered(d.awaited[n]) {
		n++
	}
	if n > 0 {
		d.awaited = append(d.awaited[:0], d.awaited[n:]...)
	}
	if len(d.awaited) > 0 && now-d.awaited[0].opened >= slowSYN {
		return true
	}
	return d.kernel.NearLimit(d.watches)
}

// watches reports whether a listener may be a target's.
func (d *Detector) watches(e tcpstate.Endpoint) bool {
	return d.opt.IsTarget == nil || e.Addr.Netip().IsUnspecified() || d.opt.IsTarget(e)
}

func (d *Detector) unanswered(a awaitedSYN) bool {
	f := d.tracker.Flow(a.flow)
	if f == nil || f.Established() || f.Closing() {
		return false
	}
	_, target := f.Sides()
	syns := d.tracker.Notes(f).Half[f.LB()].SYNs
	return !target.SentSYN() && len(syns) > 0 && syns[0].Time == a.opened
}
