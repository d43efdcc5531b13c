package main

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"
)

// HTTP/2 frame types and flags (RFC 9113 §6).
const (
	h2Data      = 0
	h2Headers   = 1
	h2Settings  = 4
	h2EndStream = 1
	h2Ack       = 1
	h2EndHeads  = 4
	h2FrameMax  = 1 << 14
)

// h2Frame makes a frame.
func h2Frame(typ, flags byte, stream uint32, payload []byte) []byte {
	b := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), typ, flags}
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// h2Request are the HEADERS of a GET. Its authority is added to the table of HPACK by the first
// one, and is its newest entry from then on.
func h2Request(stream uint32) []byte {
	path := fmt.Sprintf("/items/%d", stream)
	b := append([]byte{0x82, 0x86, 0x04, byte(len(path))}, path...)
	if stream == 1 {
		b = append(b, "\x41\x0bapp.example"...)
	} else {
		b = append(b, 0xbe)
	}
	return h2Frame(h2Headers, h2EndHeads|h2EndStream, stream, b)
}

// h2Answer is an answer of so many octets.
func h2Answer(stream uint32, octets int) []byte {
	b := h2Frame(h2Headers, h2EndHeads, stream, []byte{0x88})
	for first := true; octets > 0 || first; first = false {
		n, flags := min(octets, h2FrameMax), byte(0)
		if octets -= n; octets == 0 {
			flags = h2EndStream
		}
		b = append(b, h2Frame(h2Data, flags, stream, make([]byte, n))...)
	}
	return b
}

// life is all that is said on an HTTP/2 connection: requests side by side, whose answers of so
// many octets come in another order.
func life(requests, octets int) (*template, error) {
	const mss = 1460
	c := newConversation(1)
	c.write(0, 0, append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), h2Frame(h2Settings, 0, 0, nil)...), mss)
	c.write(ms, 1, append(h2Frame(h2Settings, 0, 0, nil), h2Frame(h2Settings, h2Ack, 0, nil)...), mss)
	c.write(2*ms, 0, h2Frame(h2Settings, h2Ack, 0, nil), mss)
	type event struct {
		at     time.Duration
		side   int
		octets []byte
	}
	var es []event
	for i := range requests {
		id, at := uint32(2*i+1), time.Duration(3+4*i)*ms
		es = append(es, event{at, 0, h2Request(id)}, event{at + time.Duration(3+i*7%11)*ms, 1, h2Answer(id, octets)})
	}
	slices.SortStableFunc(es, func(a, b event) int { return int(a.at - b.at) })
	now := time.Duration(0)
	for _, e := range es {
		now = c.write(max(now, e.at), e.side, e.octets, mss)
	}
	c.send(now, 0, ack, "", 0)
	t, err := compile(&c.s)
	if err == nil {
		t.octets = [2]uint32{uint32(c.next[0] - 1), uint32(c.next[1] - 1)}
	}
	return t, err
}

// write sends octets in segments, every second of which is acknowledged, and returns when that is
// done.
func (c *conversation) write(at time.Duration, side int, b []byte, mss int) time.Duration {
	for i := 0; len(b) > 0; i++ {
		n := min(len(b), mss)
		c.send(at, side, psh, string(b[:n]), n)
		b = b[n:]
		if at += 20 * time.Microsecond; i%2 == 1 {
			c.send(at, 1-side, ack, "", 0)
			at += 20 * time.Microsecond
		}
	}
	return at
}
