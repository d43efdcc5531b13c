// Package tcpstate rebuilds from segments what the two ends of each TCP connection knew: who
// sent what first, what each side had received when it sent it, which requests are
// outstanding, how the connection closed. It knows nothing of files or findings.
//
// A [Segment] is what one frame showed. [Tracker.Track] finds its [Flow], which is one
// connection, and updates the [Half] of its sender: what one endpoint sent and acknowledged.
// When a fact changes, an [Event] fires; most segments change none. Everything is decided by
// sequence and acknowledgment numbers. Times say when to look, and tell a repetition from a copy.
//
// A turn is what one side sends until the other has answered it. It begins with the first
// octet that the side sent when it had received something that the peer sent with all octets
// before these in hand:
//
//	LB                               target
//	 | --- 1:101   ack 1   ----------> |   turn of the LB: a request
//	 | --- 101:151 ack 1   ----------> |   continues it
//	 | <-- 1:501   ack 151 ----------- |   turn of the target: its answer
//	 | --- 151:251 ack 501 ----------> |   next turn of the LB: it acknowledges the answer
//
// Where HTTP or TLS can be read, the framing says better where a message begins (package
// internal/framing). Of each half the beginning of the newest turn and the newest segment are
// remembered always, as a [SegRef]. All other segments worth remembering are notes: SYNs, FINs,
// RSTs, retransmissions, holes. A flow has [Notes] only while it is being set up, while it
// closes or while something goes wrong.
//
// A capture need not hold the segments in the order of what happened: the queues of a network
// card hand over one direction late. The sequencer puts them in order, by their
// acknowledgments, before anything else looks at them.
//
// To read the code, begin with segment.go and flow.go, then the steps of Track in track.go.
// In which order they are taken is in sequencer.go and waiting.go. What a segment does is in
// handshake.go, data.go and close.go; what the capture does not have, in missing.go; what is
// remembered, in notes.go. The rest keeps it going: clock.go and
// wheel.go make time pass, table.go, index.go and retired.go find flows and bound their number,
// streams.go numbers and counts.
package tcpstate
