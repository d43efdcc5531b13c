package pipeline

import (
	"cmp"
	"maps"
	"slices"

	"connrace/tcpstate"
)

// listeners finds out what --target could have named while it has matched nothing.
type listeners struct {
	match    func(tcpstate.Endpoint) bool
	segments map[tcpstate.Endpoint]uint64 // by the end that looks like a listener
}

// maxListeners bounds the endpoints that are counted.
const maxListeners = 1 << 12

// matched reports whether one of the segments belongs to a target; it counts the others.
func (l *listeners) matched(segs []tcpstate.Segment) bool {
	for i := range segs {
		s := &segs[i]
		if l.match(s.Src) || l.match(s.Dst) {
			return true
		}
		l.Add(listener(s), 1)
	}
	return false
}

// Add counts segments of an endpoint.
func (l *listeners) Add(e tcpstate.Endpoint, segments uint64) {
	if _, known := l.segments[e]; known || len(l.segments) < maxListeners {
		l.segments[e] += segments
	}
}

// listener is the end of a segment that more likely listens: the one that a SYN is for,
// else the lower port.
func listener(s *tcpstate.Segment) tcpstate.Endpoint {
	switch syn := s.Flags & (tcpstate.SYN | tcpstate.ACK); {
	case syn == tcpstate.SYN:
		return s.Dst
	case syn == tcpstate.SYN|tcpstate.ACK, s.Src.Port < s.Dst.Port:
		return s.Src
	}
	return s.Dst
}

// List names the endpoints, the busiest first.
func (l *listeners) List() []string {
	ends := slices.SortedFunc(maps.Keys(l.segments), func(a, b tcpstate.Endpoint) int {
		return cmp.Or(cmp.Compare(l.segments[b], l.segments[a]), cmp.Compare(a.String(), b.String()))
	})
	names := make([]string, len(ends))
	for i, e := range ends {
		names[i] = e.String()
	}
	return names
}
