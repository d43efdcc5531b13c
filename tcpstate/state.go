package tcpstate

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
