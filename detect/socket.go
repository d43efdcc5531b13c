package detect

import "fmt"

// socket is a watched unix socket. Nothing of it is ever on a wire: that connections
// failed is not seen, only that the queue was full, and so connect() gave EAGAIN
// (unix_stream_connect, unix_recvq_full).
type socket struct {
	full    bool
	calm    int64 // since when it has not been full
	missing bool
}

// calmFor is how long a unix socket must have had room before it is said again that it
// has none.
const calmFor = 10 * second

func (d *Detector) witnessSocket(s *KernelSocket, now int64) {
	x := d.kernel.sockets[s.Path]
	if x == nil {
		x = &socket{}
		d.kernel.sockets[s.Path] = x
	}
	full := !s.Missing && s.Queue > s.Limit
	switch {
	case full && !x.full && (x.calm == 0 || now-x.calm >= calmFor):
		d.socketFull(s, now)
	case !full && x.full:
		x.calm = now
	}
	x.full, x.missing = full, s.Missing
}

// socketFull reports a unix socket without room: a warning, for who was turned away is
// not known.
func (d *Detector) socketFull(s *KernelSocket, now int64) {
	k := Kernel{Queue: s.Queue, Limit: s.Limit}
	f := &Finding{
		Rule: AcceptQueueOverflow, Severity: Warning, Confidence: Likely, Socket: s.Path, Time: now,
		Grounds:   "the kernel: " + k.String() + "; whether a connection was refused meanwhile is in the LB's log",
		RoleBasis: "flag",
		Measures:  Measures{Waiting: int(s.Queue), Kernel: &k},
		Summary:   fmt.Sprintf("the queue of %s was full, %d of %d: connect() gives EAGAIN (\"Resource temporarily unavailable\")", s.Path, s.Queue, s.Limit),
		Cause:     AcceptQueueOverflow.Cause, Fix: AcceptQueueOverflow.Fix,
	}
	d.finish(&incident{f: f, gap: -1})
}
