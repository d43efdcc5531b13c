// Package lblog reads the logs that load balancers keep themselves and joins their failed
// entries to findings: which failure of the client's which finding explains, and what is
// known of the others.
package lblog

import (
	"slices"
	"strings"
	"time"

	"connrace/tcpstate"
)

// Failure is how a request failed, as far as an entry says it.
type Failure uint8

// The failures. Behind wire there are those that have nothing to do with the connection
// to a target.
const (
	NotFailed    Failure = iota
	Unsaid               // the client got a 5xx, no more is said
	Closed               // the target closed or reset the connection before its answer
	Truncated            // ... in the middle of its answer, or right behind it
	Refused              // the target refused the connection
	ConnectError         // no connection: refused, reset or unreachable
	ConnectTimeout
	ReadTimeout // no answer in time
	ClientGone  // the client went away first
	wire
	TargetStatus // the target itself answered 5xx
	BadAnswer    // the target answered, the load balancer did not take the answer
	Local        // the load balancer never got as far as the wire
)

// reachesWire reports whether a failure is one that a capture can show.
func (f Failure) reachesWire() bool { return f != NotFailed && f < wire }

// Entry is a failed entry of a log. Strings are as logged: hostile input.
type Entry struct {
	File int // index in Join.Files
	Line int // from 1
	Kind Kind

	// Start and End are when the request came and when it was answered or had failed,
	// ns since the Unix epoch. The true End lies in [End, End+Resolution). Start is 0
	// where the log does not say it.
	Start, End, Resolution int64
	// Wait is for how long after that it may have gone on, where the log says only when the
	// request came.
	Wait int64
	// Dispatch is when the request, or the SYN for it, went to the target, and Connect how
	// long a connection took; 0: unknown.
	Dispatch, Connect int64

	Failure Failure
	Status  int    // that the client got; 0: unknown
	Says    string // what the log says of the failure
	Why     string // what that means where the capture does not show it; may be empty

	Client     string
	Method     string
	Path       string     // request target, with its query string
	Alias      string     // the same as it was sent to the target; "": not known to differ
	Cut        bool       // the request line was cut short
	Target     endpoint   // zero: unknown
	NoTarget   bool       // the log says that there was none
	TraceID    string     // X-Amzn-Trace-Id
	Ends       []endpoint // other ip:port in the line, of whatever
	Words      []string   // of what follows the known fields: ids may be among them
	Retries    int        // tries before the last one; -1: not said
	ErrorLog   bool       // it says why, and there may be an entry of the access log, too
	EachTry    bool       // the log has an entry for each try, not for each request
	MergedLine int        // line of the access log that told Status; 0: none

	sum uint64 // of the line, so that of entries of one time the same comes first whatever the order of the lines
}

type endpoint = tcpstate.Endpoint

// Time is when the request had failed.
func (e *Entry) Time() time.Time { return time.Unix(0, e.End) }

// mid is End without the bias of a coarse clock.
func (e *Entry) mid() int64 { return e.End + e.Resolution/2 }

// last is the latest that it can have been over.
func (e *Entry) last() int64 { return e.End + e.Resolution + e.Wait }

// begin is the earliest that is known of the request.
func (e *Entry) begin() int64 {
	if e.Start != 0 {
		return e.Start
	}
	return e.End
}

const (
	maxText  = 2048 // octets of a path that are kept
	maxSays  = 256
	maxWords = 16
	maxEnds  = 8
)

// detach copies the strings of an entry out of its line.
func (e *Entry) detach() {
	clip := func(s *string, n int) {
		if len(*s) > n {
			*s = (*s)[:n]
		}
		*s = strings.Clone(*s)
	}
	if len(e.Path) > maxText {
		e.Cut = true
	}
	clip(&e.Path, maxText)
	clip(&e.Alias, maxText)
	clip(&e.Says, maxSays)
	clip(&e.Method, 32)
	clip(&e.Client, 64)
	clip(&e.TraceID, 256)
	e.Words = slices.Clone(e.Words) // which may lie in a record of all that the line has
	for i := range e.Words {
		clip(&e.Words[i], 256)
	}
}
