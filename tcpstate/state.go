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
