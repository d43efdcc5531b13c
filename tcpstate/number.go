package tcpstate

// Number is Wireshark's tcp.stream of a segment. It follows nothing and fires no event:
// for a second look at a capture. A tracker either numbers or tracks.
func (t *Tracker) Number(s *Segment) uint32 {
	var q query
	queryOf(s, &q)
	f, _ := t.lookup(s, &q)
	f.LastTime = max(f.LastTime, s.Time)
	return f.stream
}
