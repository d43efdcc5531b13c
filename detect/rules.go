package detect

// Rules are all rules. Those about a target are each asked, in any order. For a connection with an
// outstanding request, or a stream of HTTP/2, the first that matches decides, in this order:
//
//  0. What neither end did: an answer, or a request that nobody took, that was lost on the
//     path; an RST into a live exchange, or of a stream.
//  1. If the LB closed first, what came of it is in 4: a later close by the target does
//     not win.
//  2. The target's closing point against the request's first octet, and against the
//     answer.
//  3. A reply RST with no close seen: a fresh connection, or a used one.
//  4. The LB gave up: on an acknowledged request, or (the rules of 3) on one that was
//     never acknowledged.
//
// Then come the connections that never carried a request, and what is left over.
var Rules = []*Rule{
	PathLoss,
	ResetInExchange,
	StreamReset,
	FINRequestCrossing,
	RequestAfterFIN,
	RSTRequestCrossing,
	ClosedWithRequestOutstanding,
	ResponseTruncated,
	EarlyResponseReset,

	AcceptQueueOverflow,
	StaleConnection,

	LBClosedWithRequestOutstanding,
	TLSHandshakeFailed,

	HandshakeReset,
	ConnectionRefused,
	PortReuse,
	SYNDropped,
	SYNUnanswered,

	RSTAfterFIN,
	KeepAliveMismatch,
}

// ifLossy is the rule that a finding becomes where data is being lost, too; nil: it stays what it
// is.
func (r *Rule) ifLossy() *Rule {
	if r.IfLossy != nil {
		return r.IfLossy
	}
	for _, o := range Rules {
		if o.IfFull == r {
			return o
		}
	}
	return nil
}

// ruleSet is a set of rules, by their places in Rules.
type ruleSet uint32

func (s ruleSet) has(place int) bool { return s>>place&1 != 0 }

func (s *ruleSet) set(place int, in bool) {
	*s &^= 1 << place
	if in {
		*s |= 1 << place
	}
}

// Lookup finds a rule by its id; nil: there is none.
func Lookup(id string) *Rule {
	for _, r := range Rules {
		if r.ID == id {
			return r
		}
	}
	return nil
}
