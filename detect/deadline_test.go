package detect_test

import (
	"fmt"
	"strings"
	"testing"

	"connrace/detect"
	"connrace/tcpstate"
)

// TestDeadline: a call's own deadline is named where the wait was as long, and not where the LB's own time-out
// was up that is about as long.
func TestDeadline(t *testing.T) {
	for _, c := range []struct {
		timeout  string
		wait     int64 // ms
		deadline bool
	}{
		{"990m", 990, true},
		{"990m", 1003, true},
		{"980m", 1003, false},
		{"990m", 930, true},
		{"5S", 5020, true},
		{"1M", 60_010, true},
		{"60123m", 60_050, true},
		{"63S", 60_003, false},
		{"58S", 60_003, false},
		{"60200m", 60_003, false},
		{"1M", 56_300, false},
		{"1M", 62_200, false},
		{"10S", 9100, false},
	} {
		x := traffic{d: detect.New(detect.Options{})}
		lb, target := lbEnd(0), targetEnd(0)
		x.send(lb, target, tcpstate.SYN, 100, 0)
		x.send(target, lb, tcpstate.SYN|tcpstate.ACK, 500, 101)
		x.send(lb, target, tcpstate.ACK, 101, 501)
		octets := func(p string, seq tcpstate.Seq) tcpstate.Seq {
			x.seg.Payload, x.seg.Len = []byte(p), uint32(len(p))
			x.send(lb, target, tcpstate.ACK|tcpstate.PSH, seq, 501)
			seq = seq.Add(x.seg.Len)
			x.seg.Payload, x.seg.Len = nil, 0
			x.send(target, lb, tcpstate.ACK, 501, seq)
			return seq
		}
		seq := octets("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", 101)
		block := "\x83\x86\x04\a/x.Y/Do\x00\fgrpc-timeout" + string(rune(len(c.timeout))) + c.timeout
		seq = octets("\x00\x00"+string(rune(len(block)))+"\x01\x05\x00\x00\x00\x01"+block, seq)
		x.pause(c.wait*millisecond - 2*millisecond)
		octets("\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\b", seq)
		x.pause(30 * second)
		fs := x.d.Finish().Findings
		if len(fs) != 1 || fs[0].Rule != detect.LBClosedWithRequestOutstanding {
			t.Fatalf("%+v: %d findings", c, len(fs))
		}
		if named := strings.Contains(fs[0].Cause, "deadline"); named != c.deadline {
			t.Errorf("%s, %s: %s", c.timeout, fmt.Sprint(fs[0].Measures.Outstanding.NS), fs[0].Cause)
		}
	}
}
