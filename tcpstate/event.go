package tcpstate

// Kind is what changed.
type Kind uint8

// The kinds of event. Plain data and acknowledgments of a healthy exchange fire none
// but the beginnings of turns.
const (
	// Opened: first segment of a flow.
	Opened Kind = iota
	// RolesChanged: the LB is the other side than was taken for it so far.
	RolesChanged
	// SYNRepeated: a SYN was sent again, at least 150 ms after the copy before.
	SYNRepeated
	// EstablishedNow: the handshake is complete.
	EstablishedNow
	// RequestBegan: the LB's half has a new Turn.
	RequestBegan
	// AnswerBegan: the target sent the first octet that answers the LB's Turn.
	AnswerBegan
	// RequestStalled: the LB's Turn has had no answer for 200 ms.
	RequestStalled
	// CloseBegan: the first FIN of a side, or an RST.
	CloseBegan
	// Settled: what belongs to a handshake or a close has been seen, or the capture
	// has ended. Rules decide now. It may come again when more happens.
	Settled
	// Gone: the flow is about to be forgotten.
	Gone
	nKinds
)

// Event is a change of a flow's facts.
type Event struct {
	Kind Kind
	Flow *Flow
	Side int      // index of the half concerned
	Seg  *Segment // the segment that brought it; nil for Settled, Gone and RequestStalled
	Time int64    // capture time, ns
	// Ended: the capture ended here; what has not happened yet is unknown.
	Ended bool
	// Gap is, with RequestBegan and CloseBegan, the idle time before it: since the last
	// payload octet of the exchange before; -1: there was none.
	Gap int64
	// Head is, with RequestBegan, how many octets of the segment are the head of an HTTP/1
	// request, up to and with its empty line, or up to where the snap length cut it; 0: that
	// is not known.
	Head int
}

// Handler is called with each event of the kind that it is registered for. The event
// and what it points to are valid during the call.
type Handler func(*Event)
