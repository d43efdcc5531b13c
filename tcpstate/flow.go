package tcpstate

import (
	"math"

	"connrace/tcpstate/internal/framing"
)

// Half is what one endpoint sent. The other endpoint's half is its peer; both are
// treated by the same code.
//
//	isn        octets sent and captured                nxt
//	 |------------------------------------------------->|
//	             turn.Seq --> first octet of the newest turn
//
// Invariants, once flagCaptured is set: isn < nxt; turn.Seq < nxt; Ack only grows. The turn is
// in Flow.recent at the same index.
type Half struct {
	ISN Seq // Wireshark's base: seq of the SYN, else one below the first octet seen
	// Nxt is behind the highest octet (or FIN) seen from this side, RFC 9293's SND.NXT. Data,
	// SYN and FIN move it; a segment without octets, or the peer's ack, begins it while nothing of
	// this side was seen. Of two SYN-ACKs it is behind that one which the peer acknowledges.
	Nxt Seq
	Ack Seq // the highest acknowledgment that this side sent; valid iff HasAck

	// peerReply is the first octet of the peer that the peer sent when it had all of this
	// half's octets up to Nxt; valid iff flagPeerReply. New data of this half that
	// acknowledges it starts a new turn.
	peerReply Seq
	// AnswerSeq is the first octet of the peer that answers the turn; valid iff Answered.
	AnswerSeq Seq

	flags halfFlags
	// waiting is the first of its segments that wait, see sequencer; 0: none does.
	waiting uint16
}

type halfFlags uint16

const (
	flagCaptured  halfFlags = 1 << iota // Nxt is valid
	flagBase                            // ISN is valid for Wireshark's numbering
	flagAck                             // Ack is valid
	flagSYN                             // its SYN or SYN-ACK was seen
	flagPeerReply                       // peerReply is valid
	flagAnswered                        // the peer answered the turn
	flagInferred                        // the turn rests on octets that the capture does not have
	flagHoles                           // octets below Nxt are missing
	flagUsed                            // a turn before the newest was answered
	flagTurn                            // there is a turn
	flagTurnLow                         // the turn may have begun at rareNotes.TurnLow
	flagArrived                         // one of them arrived, if only to wait: see sequencer
	flagSpoke                           // it acknowledged what it had acknowledged before
	flagShut                            // its receive window was closed when it last did
)

// Arrived reports whether any segment of this side was captured.
func (h *Half) Arrived() bool { return h.flags&flagArrived != 0 }

// beginAt lets what is known of this side begin at an octet, unless it has begun already.
func (h *Half) beginAt(x Seq) {
	if h.flags&flagCaptured == 0 {
		h.Nxt = x
		h.flags |= flagCaptured
	}
}

// Captured reports whether it is known what this side sends next: a segment of its own, or an
// acknowledgment of its peer, was captured.
func (h *Half) Captured() bool { return h.flags&flagCaptured != 0 }

// SentSYN reports whether the SYN or SYN-ACK of this side was captured.
func (h *Half) SentSYN() bool { return h.flags&flagSYN != 0 }

// HasAck reports whether Ack is valid.
func (h *Half) HasAck() bool { return h.flags&flagAck != 0 }

// Answered reports whether the peer sent an octet when it had the first one of the turn.
func (h *Half) Answered() bool { return h.flags&flagAnswered != 0 }

// HasTurn reports whether this side has begun a turn.
func (h *Half) HasTurn() bool { return h.flags&flagTurn != 0 }

// Outstanding reports whether there is a turn that is not answered.
func (h *Half) Outstanding() bool { return h.flags&(flagTurn|flagAnswered) == flagTurn }

// Inferred reports whether the turn was taken for one although the octets of the peer
// that it acknowledges were not captured.
func (h *Half) Inferred() bool { return h.flags&flagInferred != 0 }

// Spoke reports whether this side repeated an acknowledgment without data (a duplicate one, a
// window update): behind a SYN-ACK that shows that the connection exists.
func (h *Half) Spoke() bool { return h.flags&flagSpoke != 0 }

// WindowShut reports whether the side's receive window is closed, as far as its answers to probes of it show: its
// application does not read what came (RFC 9293 §3.8.6.1).
func (h *Half) WindowShut() bool { return h.flags&flagShut != 0 }

// Holes reports whether octets of this side are missing in the capture.
func (h *Half) Holes() bool { return h.flags&flagHoles != 0 }

// HadReceived reports whether this side had received octet x of its peer when it sent the
// newest of its segments: ack(s) > seq(x).
func (h *Half) HadReceived(x Seq) bool { return h.flags&flagAck != 0 && h.Ack.After(x) }

// Basis says how the roles of a flow were decided.
type Basis uint8

// The bases, the strongest first.
const (
	ByHandshake Basis = iota
	ByFlag
	ByShared
	ByHTTP
	ByPort
)

func (b Basis) String() string {
	return [...]string{"handshake", "flag", "shared-endpoint", "http", "port"}[b]
}

// Flow is one TCP connection. It holds no pointers, so that a table of a million of
// them costs the garbage collector nothing, and is four cache lines of 64 octets; what
// segments without data need lies in the first two.
type Flow struct {
	key      key
	flags    flowFlags
	stream   uint32
	index    uint32 // own place in the arena
	LastTime int64  // time of the newest segment, ns
	notes    uint32 // place of the Notes, 0: none
	due      uint32 // the wheel's tick in which onTimer looks at it next; 0: not armed
	rtt      uint32 // see RTT
	head     uint16 // place of the kept head of the newest request, 0: none
	Tag      uint16 // the reader's of events; the tracker neither reads nor writes it

	// Half holds the facts of the two endpoints, in the order of Tracker.Endpoint.
	Half    [2]Half
	framing framing.State
	recent  [2]recent
}

type flowFlags uint32

const (
	flowEstablished    flowFlags = 1 << iota
	flowClosing                  // a FIN or RST was seen
	flowReset                    // an RST ended it
	flowSettled                  // settled since the last change
	flowStalled                  // the newest request has stalled
	flowDetached                 // a new incarnation has taken its place in the index
	flowLive                     // in use
	flowPayload                  // payload octets were captured
	flowDecided                  // SetDecided, until the next turn of the LB
	flowWatched                  // the user's filter selects it
	flowRevived                  // late segments of a forgotten connection
	flowBegun                    // its first own segment was seen
	flowLastCheck                // a one-sided close has been looked at for the last time
	flowCloseAnnounced           // the newest answer said Connection: close
	flowV6                       // key stands for IPv6 addresses
	flowSlow                     // rtt is in microseconds
	flowNoted                    // its notes hold something of what is rare
	flowStale                    // it has no number in the current capture yet
	flowHasPrevious              // the incarnation before it may still get segments
	flowRenumbered               // see Tracker.markRenumbered
	flowWaiting                  // some of its segments wait, see sequencer
	flowUnread                   // see HTTP2Unread
	flowCopy                     // it is another one, shown once more: see copies

	// The uppermost bits: who is the LB, and how that was decided.
	flowLB    flowFlags = 1 << 28
	basisBits           = 29
)

// LB is the index of the load balancer's half; the target's is 1 - LB.
func (f *Flow) LB() int { return int(f.flags / flowLB & 1) }

// Basis is how LB was decided.
func (f *Flow) Basis() Basis { return Basis(f.flags >> basisBits) }

// SetLB changes the roles, without an event: the tracker learns them from a handshake or the
// payload, the reader of events from other flows. i is the index of the load balancer's half.
func (f *Flow) SetLB(i int, b Basis) {
	f.flags = f.flags&(flowLB-1) | flowFlags(i)*flowLB | flowFlags(b)<<basisBits
}

// Sides are the load balancer's half and the target's.
func (f *Flow) Sides() (lb, target *Half) {
	i := f.LB()
	return &f.Half[i], &f.Half[1-i]
}

// halves are the half of a side and its peer's.
func (f *Flow) halves(dir int) (own, peer *Half) {
	return &f.Half[dir&1], &f.Half[dir&1^1] // so the compiler need not check
}

// RTT is SYN to final ACK without repetitions, ns; 0: unknown.
func (f *Flow) RTT() int64 {
	if f.flags&flowSlow != 0 {
		return int64(f.rtt) * 1000
	}
	return int64(f.rtt)
}

func (f *Flow) setRTT(ns int64) {
	if ns > math.MaxUint32 {
		f.flags |= flowSlow
		ns /= 1000
	}
	f.rtt = uint32(min(ns, math.MaxUint32))
}

// Established reports whether the handshake was completed, as the capture shows it.
func (f *Flow) Established() bool { return f.flags&flowEstablished != 0 }

// BeginCaptured reports whether the connection's beginning was captured.
func (f *Flow) BeginCaptured() bool { return f.Half[0].SentSYN() || f.Half[1].SentSYN() }

// Closing reports whether a FIN or an RST was seen.
func (f *Flow) Closing() bool { return f.flags&flowClosing != 0 }

// Noted reports whether the flow has Notes of what is rare: all but SYNs, the final ACK and FINs.
func (f *Flow) Noted() bool { return f.flags&flowNoted != 0 }

// Reset reports whether an RST ended the connection.
func (f *Flow) Reset() bool { return f.flags&flowReset != 0 }

// Stalled reports whether the newest request has waited long without an answer.
func (f *Flow) Stalled() bool { return f.flags&flowStalled != 0 }

// HasPayload reports whether any payload octet was captured.
func (f *Flow) HasPayload() bool { return f.flags&flowPayload != 0 }

// MayBeTLS reports whether the payload is TLS, or was not captured.
func (f *Flow) MayBeTLS() bool {
	return f.framing.Protocol() == framing.TLS || f.flags&flowPayload == 0
}

// Opaque reports whether payload was captured and is neither HTTP nor TLS.
func (f *Flow) Opaque() bool {
	return f.framing.Protocol() == framing.Unknown && f.flags&flowPayload != 0
}

// HTTP2Unread reports whether frames of HTTP/2 that decide were not captured: of some only a
// part was, or nothing of any, and by their lengths the octets are no HTTP/1.
func (f *Flow) HTTP2Unread() bool { return f.flags&flowUnread != 0 }

// HTTP2InTLS reports whether HTTP/2 may be inside of TLS: it was offered or agreed, or the
// ClientHello was not captured.
func (f *Flow) HTTP2InTLS() bool { return f.framing.HTTP2Inside() }

// HTTP1InTLS reports whether HTTP/1 was agreed on inside of TLS.
func (f *Flow) HTTP1InTLS() bool { return f.framing.HTTP1Inside() }

// TLS reports whether TLS was recognised.
func (f *Flow) TLS() bool { return f.framing.Protocol() == framing.TLS }

// TakesTurns reports whether FastCGI, uwsgi, AJP or SMB 2 was recognised, all of whose requests
// are answered. They are not read.
func (f *Flow) TakesTurns() bool { return f.framing.Protocol() == framing.Turns }

// PlainHTTP reports whether HTTP/1 or HTTP/2 can be read.
func (f *Flow) PlainHTTP() bool {
	p := f.framing.Protocol()
	return p == framing.HTTP1 || p == framing.HTTP2
}

// Handshake says how far setting up TLS has come.
func (f *Flow) Handshake() TLSHandshake { return f.framing.Handshake() }

// TLSHandshake is how far setting up TLS has come.
type TLSHandshake = framing.Handshake

// The states of a TLS handshake.
const (
	NoTLSHandshake      = framing.NoHandshake
	TLSHandshakeBegun   = framing.HandshakeBegun
	TLSHandshakeInPlain = framing.HandshakeInPlain
	TLSHandshakeDone    = framing.HandshakeDone
)

// RequestHeadUnfinished reports whether the LB has not sent all of its request's head.
func (f *Flow) RequestHeadUnfinished() bool { return f.framing.InHead(framing.Requests) }

// AnswerUnfinished reports whether, by its framing, octets of the answer are missing.
func (f *Flow) AnswerUnfinished() bool { return f.framing.Unfinished(framing.Answers) }

// RequestUnfinished reports whether, by its framing, octets of the request are missing.
func (f *Flow) RequestUnfinished() bool { return f.framing.Unfinished(framing.Requests) }

// Upgraded reports whether the connection has left HTTP: a 101 or a tunnel.
func (f *Flow) Upgraded() bool { return f.framing.Upgraded() }

// CloseAnnounced reports whether the newest answer's head said Connection: close.
func (f *Flow) CloseAnnounced() bool { return f.flags&flowCloseAnnounced != 0 }

// KeepAlive is what the newest answer's head advertised, ns; 0: nothing.
func (f *Flow) KeepAlive() int64 { return int64(f.framing.KeepAlive()) * second }

// Served is how many requests of HTTP/1 were answered on the connection; 0: it is not known.
func (f *Flow) Served() uint32 { return f.framing.Served() }

// Status is the status of the newest HTTP/1 answer; 0: unknown.
func (f *Flow) Status() int { return f.framing.Status() }

// Used reports whether this half had been answered before its newest turn began.
func (h *Half) Used() bool { return h.flags&flagUsed != 0 }

// Watched reports whether the user's filter selects the flow.
func (f *Flow) Watched() bool { return f.flags&flowWatched != 0 }

// Decided reports whether SetDecided was called since the newest request began.
func (f *Flow) Decided() bool { return f.flags&flowDecided != 0 }

// SetDecided lets Decided be true until the LB begins its next turn: the reader of events has
// reported what became of this one. The tracker does not read it.
func (f *Flow) SetDecided() { f.flags |= flowDecided }

// Stream is the number of the flow's stream.
func (f *Flow) Stream() uint32 { return f.stream }

// Index is the flow's place, unique among the flows that exist at one time.
func (f *Flow) Index() uint32 { return f.index }

// State is an endpoint's state (RFC 9293 §3.3.2) as far as the capture shows it.
type State uint8

// The states. Undetermined: the connection began before the capture and has not yet
// shown where it stands.
const (
	Undetermined State = iota
	Listen
	SynSent
	SynReceived
	Established
	FinWait1
	FinWait2
	CloseWait
	Closing
	LastAck
	TimeWait
	Closed
)

func (s State) String() string {
	return [...]string{
		"UNDETERMINED", "LISTEN", "SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1",
		"FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK", "TIME-WAIT", "CLOSED",
	}[s]
}

// State is the state of endpoint i as far as the capture shows it: what its kernel must
// be in after the segments that it sent and is known to have received.
func (t *Tracker) State(f *Flow, i int) State {
	h, p := &f.Half[i], &f.Half[1-i]
	m := t.Notes(f)
	fin, peerFIN := &m.Half[i].FIN, &m.Half[1-i].FIN
	sawPeerFIN := peerFIN.Set() && h.HadReceived(peerFIN.Seq)
	switch {
	case f.Reset(), len(m.Half[0].Refusals)+len(m.Half[1].Refusals) > 0:
		return Closed
	case fin.Set() && p.HadReceived(fin.Seq):
		switch {
		case !sawPeerFIN:
			return FinWait2
		case fin.Ack.After(peerFIN.Seq): // it closed second: LAST-ACK was acknowledged
			return Closed
		}
		return TimeWait
	case fin.Set():
		switch {
		case !sawPeerFIN:
			return FinWait1
		case fin.Ack.After(peerFIN.Seq):
			return LastAck
		}
		return Closing
	case sawPeerFIN:
		return CloseWait
	case !f.BeginCaptured():
		return Undetermined
	case f.Established():
		return Established
	case h.SentSYN() && p.SentSYN() && i != f.LB():
		return SynReceived
	case h.SentSYN() && i == f.LB():
		return SynSent
	}
	return Listen
}
