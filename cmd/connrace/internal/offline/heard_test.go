package offline

import (
	"fmt"
	"testing"

	"connrace/capture"
)

// Of a stream that goes on for ever the newest remarks are known, and of others that they are not.
func TestHeard(t *testing.T) {
	h := newHeard()
	const last = 2*mostHeard + 100
	for n := uint64(7); n <= last; n++ {
		if n%3 != 0 {
			h.note(&capture.Remarks{Frame: n, Comments: [][]byte{[]byte("PID: 1"), []byte(fmt.Sprint(n % 100))}, Direction: capture.Inbound})
		}
	}
	if cap(h.frames) > 2*mostHeard || len(h.all) > 200 {
		t.Errorf("%d frames, %d kinds", cap(h.frames), len(h.all))
	}
	for _, c := range []struct {
		frame      uint64
		has, known bool
	}{{1, false, true}, {6, false, true}, {7, false, false}, {last, last%3 != 0, true}, {last - 1, (last-1)%3 != 0, true}, {last - mostHeard/2 + 10, (last-mostHeard/2+10)%3 != 0, true}, {last + 10, false, true}} {
		r, lost := h.of(c.frame)
		if (r != nil) != c.has || lost == c.known {
			t.Errorf("frame %d: %+v, %v", c.frame, r, lost)
		}
		if r != nil && (r.Frame != c.frame || string(r.Comments[1]) != fmt.Sprint(c.frame%100) || r.Direction != capture.Inbound) {
			t.Errorf("frame %d: %+v", c.frame, r)
		}
	}
}

// What is remarked takes bounded memory, and what has no room is known to have had none.
func TestHeardHasBounds(t *testing.T) {
	h := newHeard()
	long := make([]byte, 1<<16)
	for n := range uint64(2000) {
		long[0], long[1] = byte(n), byte(n>>8)
		h.note(&capture.Remarks{Frame: n + 1, Comments: [][]byte{long}})
	}
	if n := len(h.all) << 16; n > mostHeardRoom+1<<17 {
		t.Errorf("%d octets are kept", n)
	}
	if r, lost := h.of(2000); r != nil || !lost {
		t.Error("the last has no room: ", lost)
	}
	if r, lost := h.of(1); r == nil || lost || r.Comments[0][0] != 0 {
		t.Error("the first had room: ", lost)
	}
}
