package tcpstate

// StreamStats are the figures of one stream as Wireshark counts them; A is the sender
// of its first segment.
type StreamStats struct {
	Stream           uint32
	A, B             Endpoint
	FirstFrame       uint64
	Segments         uint64
	SYN, SYNACK      uint64 // SYN without, and with ACK
	FIN, RST         uint64
	BytesAB, BytesBA uint64 // payload by the headers, retransmissions included
	AIsLB            bool   // valid iff RolesKnown
	RolesKnown       bool
	StateA, StateB   State
}
