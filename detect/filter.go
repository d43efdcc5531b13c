package detect

import (
	"slices"
	"strconv"

	"connrace/tcpstate"
)

// Streams are the streams of its capture that the evidence names, in ascending order.
func (f *Finding) Streams() []uint32 {
	out := make([]uint32, 0, 4)
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
	if f.Inexact {
		return f.endsAndFrames()
	}
	switch ss := f.Streams(); len(ss) {
	case 0:
		return ""
	case 1:
		return "tcp.stream eq " + strconv.FormatUint(uint64(ss[0]), 10)
	default:
		return string(appendSet([]byte("tcp.stream in "), ss))
	}
}

func (f *Finding) endsAndFrames() string {
	var frames []uint64
	for i := range f.Evidence {
		if e := &f.Evidence[i]; e.Capture == f.Capture {
			frames = append(frames, e.Frame)
		}
	}
	var b []byte
	if f.HasStream {
		b = append(f.appendTuple(append(b, '(')), ')')
	}
	if len(frames) > 0 {
		if b != nil {
			b = append(b, " || "...)
		}
		b = appendSet(append(b, "frame.number in "...), frames)
	}
	return string(b)
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
	return string(f.appendTuple(make([]byte, 0, 128)))
}

func (f *Finding) appendTuple(b []byte) []byte {
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
