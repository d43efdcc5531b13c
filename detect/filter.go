package detect

import (
	"slices"
	"strconv"

	"connrace/tcpstate"
)

// Streams are the streams of its capture that the evidence names, in ascending order.
func (f *Finding) Streams() []uint32 { return f.appendStreams(make([]uint32, 0, 4)) }

// appendStreams is Streams in the room of a slice that is empty.
func (f *Finding) appendStreams(out []uint32) []uint32 {
	if f.HasStream {
		out = append(out, f.Stream)
	}
	for i := range f.Evidence {
		if e := &f.Evidence[i]; e.Capture == f.Capture && (len(out) == 0 || out[len(out)-1] != e.Stream) {
			out = append(out, e.Stream)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// DisplayFilter selects in Wireshark every stream of its capture that the evidence names;
// "" when there is none. Where stream numbers cannot be relied on, it selects the
// connection by its endpoints, and the evidence by its frames.
func (f *Finding) DisplayFilter() string {
	return string(f.AppendDisplayFilter(make([]byte, 0, 128)))
}

// AppendDisplayFilter appends the DisplayFilter.
func (f *Finding) AppendDisplayFilter(b []byte) []byte {
	if f.Inexact {
		return f.appendEndsAndFrames(b)
	}
	var room [8]uint32
	switch ss := f.appendStreams(room[:0]); len(ss) {
	case 0:
		return b
	case 1:
		return strconv.AppendUint(append(b, "tcp.stream eq "...), uint64(ss[0]), 10)
	default:
		return appendSet(append(b, "tcp.stream in "...), ss)
	}
}

func (f *Finding) appendEndsAndFrames(b []byte) []byte {
	var frames []uint64
	for i := range f.Evidence {
		if e := &f.Evidence[i]; e.Capture == f.Capture {
			frames = append(frames, e.Frame)
		}
	}
	if f.HasStream {
		b = append(f.AppendTupleFilter(append(b, '(')), ')')
	}
	if len(frames) > 0 {
		if f.HasStream {
			b = append(b, " || "...)
		}
		b = appendSet(append(b, "frame.number in "...), frames)
	}
	return b
}

// appendSet appends a set as filters write it.
func appendSet[N uint32 | uint64](b []byte, ns []N) []byte {
	for i, n := range ns {
		b = strconv.AppendUint(append(b, "{,"[min(i, 1)]), uint64(n), 10)
	}
	return append(b, '}')
}

// TupleFilter selects the connection by its addresses and ports, where stream numbers
// cannot be relied on.
func (f *Finding) TupleFilter() string {
	return string(f.AppendTupleFilter(make([]byte, 0, 128)))
}

// AppendTupleFilter appends the TupleFilter.
func (f *Finding) AppendTupleFilter(b []byte) []byte {
	if f.Socket != "" {
		return b // nothing of it is in any capture
	}
	if f.LB == (tcpstate.Endpoint{}) {
		return appendEnd(b, f.Target)
	}
	own := View{LB: f.LB, Target: f.Target}
	for i := range f.Views {
		if f.Views[i].Point <= f.Capture { // points are in the order of their captures
			own = f.Views[i]
		}
	}
	return own.appendTuple(b)
}

func (v *View) appendTuple(b []byte) []byte {
	return appendEnd(append(appendEnd(b, v.LB), " && "...), v.Target)
}

func appendEnd(b []byte, e tcpstate.Endpoint) []byte {
	field := "ipv6.addr=="
	if e.Addr.Is4() {
		field = "ip.addr=="
	}
	b = append(e.Addr.Netip().AppendTo(append(b, field...)), " && tcp.port=="...)
	return strconv.AppendUint(b, uint64(e.Port), 10)
}
