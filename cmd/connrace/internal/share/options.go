package share

import (
	"bytes"
	"encoding/binary"

	"connrace/tcpstate"
)

// Options of TCP that are kept (RFC 9293 §3.2, RFC 7323, RFC 2018), by their lengths; that of SACK
// varies.
const (
	optEnd     = 0
	optNop     = 1
	optMSS     = 2
	optScale   = 3
	optMaySACK = 4
	optSACK    = 5
	optTS      = 8

	maxOptions = 40
)

var optionSize = map[byte]int{optMSS: 4, optScale: 3, optMaySACK: 2, optTS: 10}

// knownOptions are those of the options that say something of the connection and nothing of
// anybody, as far as they make sense; nil: there are none. What they say is only numbers, and a
// block of SACK is kept only where it is near the segment's own.
func knownOptions(b []byte, s *tcpstate.Segment) (out []byte) {
	for len(b) > 0 && b[0] != optEnd {
		if b[0] == optNop {
			out, b = append(out, optNop), b[1:]
			continue
		}
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			break
		}
		o := b[:b[1]]
		switch b = b[len(o):]; {
		case optionSize[o[0]] == len(o):
			out = append(out, o...)
		case o[0] == optSACK && len(o) > 2 && (len(o)-2)%8 == 0 && near(o[2:], s.Ack):
			out = append(out, o...)
		default:
			out = append(out, bytes.Repeat([]byte{optNop}, len(o))...) // so that the header has its size
		}
	}
	if len(out) == 0 {
		return nil
	}
	for len(out)%4 != 0 {
		out = append(out, optNop)
	}
	return out[:min(len(out), maxOptions)]
}

// near reports whether the edges of blocks are within the largest window (RFC 7323 §2.3) of what is
// acknowledged.
func near(edges []byte, ack tcpstate.Seq) bool {
	const window = 1 << 30
	for ; len(edges) >= 4; edges = edges[4:] {
		if d := tcpstate.Seq(binary.BigEndian.Uint32(edges)).Sub(ack); d > window || d < -window {
			return false
		}
	}
	return true
}
