package detect

import (
	"slices"

	"connrace/tcpstate"
)

// Exchanges are what a load balancer's log is compared with besides findings: which
// answers were server errors, and when something went on with each target.
type Exchanges struct {
	// Errors are answers with a status of 500 or above, in the order of the capture.
	Errors []ServerError
	// Seconds since the Unix epoch, ascending, in which a connection to a target was
	// opened or tried, or a request or its answer began.
	Seconds map[tcpstate.Endpoint][]uint32
	// Incomplete: there was more than is kept, of which the newest is.
	Incomplete bool
}

// ServerError is an answer by which a target itself reports a failure.
type ServerError struct {
	Target  tcpstate.Endpoint
	Capture int
	Stream  uint32
	Frame   uint64 // the answer's first octet
	Time    int64
	Status  int
	Request Request
}

const (
	maxServerErrors = 1 << 16
	maxSeconds      = 1 << 20
)

// exchanges collects Exchanges. A nil one does nothing.
type exchanges struct {
	Exchanges
	seconds int
}

func newExchanges() *exchanges {
	return &exchanges{Exchanges: Exchanges{Seconds: map[tcpstate.Endpoint][]uint32{}}}
}

// active notes that something went on with a target.
func (x *exchanges) active(target tcpstate.Endpoint, at int64) {
	if x != nil && at > 0 {
		x.addSecond(target, at) // apart, so that the rest is inlined
	}
}

func (x *exchanges) addSecond(target tcpstate.Endpoint, at int64) {
	s := x.Seconds[target]
	sec := uint32(at / second)
	if n := len(s); n > 0 && s[n-1] == sec {
		return
	}
	if x.seconds >= maxSeconds {
		x.forget()
		s = x.Seconds[target]
	}
	x.seconds++
	x.Seconds[target] = append(s, sec)
}

// forget makes room: of each target the older half of its seconds goes.
func (x *exchanges) forget() {
	x.Incomplete, x.seconds = true, 0
	for t, s := range x.Seconds {
		s = slices.Delete(s, 0, (len(s)+1)/2)
		if x.seconds += len(s); len(s) == 0 {
			delete(x.Seconds, t)
		} else {
			x.Seconds[t] = s
		}
	}
}

// finish puts the seconds in order.
func (x *exchanges) finish() *Exchanges {
	if x == nil {
		return nil
	}
	for t, s := range x.Seconds {
		slices.Sort(s)
		x.Seconds[t] = slices.Compact(s)
	}
	return &x.Exchanges
}

// answer notes the answer that begins with a segment if its status is a server error.
func (x *exchanges) answer(d *Detector, f *tcpstate.Flow, s *tcpstate.Segment) {
	if x != nil && f.Status() >= 500 {
		x.addError(d, f, s)
	}
}

func (x *exchanges) addError(d *Detector, f *tcpstate.Flow, s *tcpstate.Segment) {
	asked := d.tracker.Request(f)
	_, askedFrame := d.locate(asked.Frame())
	x.note(d, f, d.tracker.Ref(f, s), f.Status(), parseRequest(d.tracker.Head(f), askedFrame, asked.Time))
}

// note notes an answer whose status is a server error.
func (x *exchanges) note(d *Detector, f *tcpstate.Flow, m tcpstate.SegRef, status int, q Request) {
	if x == nil {
		return
	}
	if len(x.Errors) >= maxServerErrors {
		x.Incomplete = true
		x.Errors = slices.Delete(x.Errors, 0, maxServerErrors/2)
	}
	capture, frame := d.locate(m.Frame())
	x.Errors = append(x.Errors, ServerError{
		Target: d.tracker.Endpoint(f, 1-f.LB()), Capture: capture, Stream: m.Stream, Frame: frame, Time: m.Time, Status: status,
		Request: q,
	})
}
