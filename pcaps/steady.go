package pcaps

import (
	"encoding/binary"
	"fmt"
	"time"

	"connrace/tcpstate"
)

// Steady is the traffic of connections that are kept alive: small packets in Ethernet
// frames, a round of exchanges on each, and then another. Benchmarks use it.
type Steady struct {
	Frames []Frame // of the round; their Data may lie anywhere
	lb     []bool  // by frame: it is the LB's
	grow   [2]uint32
	round  int64 // ns from one to the next
}

const (
	steadyRequest = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
	steadyBody    = "0123456789012345678901234567890123456789"
	steadyStart   = int64(1_700_000_000) * int64(time.Second)
	steadyStep    = int64(20 * time.Microsecond)
	// What a frame is made of: headers with timestamps (RFC 7323).
	steadyTCP    = 14 + 20
	steadyHeader = steadyTCP + 32
)

// NewSteady makes the first round of so many connections with so many exchanges each. The
// body of an answer comes in so many segments more than the head's, of which the LB
// acknowledges every second.
func NewSteady(conns, exchanges, segments int) *Steady {
	answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", 2+segments*len(steadyBody)) + "ok"
	whole := len(answer) + segments*len(steadyBody)
	s := &Steady{grow: [2]uint32{uint32(exchanges * len(steadyRequest)), uint32(exchanges * whole)}}
	at := steadyStart + int64(time.Second)
	add := func(conn int, lb bool, seq, ack int, payload string) {
		fl := tcpstate.ACK
		if payload != "" {
			fl |= tcpstate.PSH
		}
		s.Frames = append(s.Frames, steadyFrame(at, conn, lb, fl, uint32(1+seq), uint32(1+ack), payload))
		s.lb = append(s.lb, lb)
		at += steadyStep
	}
	for e := range exchanges {
		asked, answered := e*len(steadyRequest), e*whole
		// What follows comes when a few others have had their turn.
		const late = 3
		for i := range conns + (2+segments)*late {
			if i < conns {
				add(i, true, asked, answered, steadyRequest)
			}
			next, sent := i-late, answered
			for k := range 1 + segments {
				payload := steadyBody
				if k == 0 {
					payload = answer
				}
				if next >= 0 && next < conns {
					add(next, false, sent, asked+len(steadyRequest), payload)
					if k%2 == 1 || k == segments {
						add(next, true, asked+len(steadyRequest), sent+len(payload), "")
					}
				}
				sent += len(payload)
				next -= late
			}
		}
	}
	s.round = at - s.Frames[0].Time
	return s
}

// Opening are the handshakes of so many connections.
func Opening(conns int) []Frame {
	var fs []Frame
	for i := range conns {
		for k, p := range [...]struct {
			lb       bool
			fl       tcpstate.Flags
			seq, ack uint32
		}{{true, tcpstate.SYN, 0, 0}, {false, tcpstate.SYN | tcpstate.ACK, 0, 1}, {true, tcpstate.ACK, 1, 1}} {
			at := steadyStart + int64(3*i+k)*int64(time.Microsecond)
			fs = append(fs, steadyFrame(at, i, p.lb, p.fl, p.seq, p.ack, ""))
		}
	}
	return fs
}

// Next makes the frames those of the next round, in place.
func (s *Steady) Next() {
	for i := range s.Frames {
		f := &s.Frames[i]
		f.Time += s.round
		own, others := s.grow[0], s.grow[1]
		if !s.lb[i] {
			own, others = others, own
		}
		for at, by := range [...]uint32{own, others} {
			b := f.Data[steadyTCP+4+4*at:]
			binary.BigEndian.PutUint32(b, binary.BigEndian.Uint32(b)+by)
		}
	}
}

// steadyFrame is a frame of the i-th connection: LBs are 10.0.0.n, the target 10.0.1.9:8080.
func steadyFrame(at int64, conn int, lb bool, fl tcpstate.Flags, seq, ack uint32, payload string) Frame {
	b := make([]byte, steadyHeader+len(payload))
	b[12], b[14] = 0x08, 0x45 // IPv4, without options
	binary.BigEndian.PutUint16(b[16:], uint16(len(b)-14))
	b[22], b[23] = 64, 6 // time to live, TCP
	src, dst := b[26:30], b[30:34]
	sport, dport := b[34:36], b[36:38]
	if !lb {
		src, dst, sport, dport = dst, src, dport, sport
	}
	copy(src, []byte{10, 0, 0, byte(2 + conn>>15)})
	copy(dst, []byte{10, 0, 1, 9})
	binary.BigEndian.PutUint16(sport, uint16(1<<15+conn&(1<<15-1)))
	binary.BigEndian.PutUint16(dport, 8080)
	binary.BigEndian.PutUint32(b[38:], seq)
	binary.BigEndian.PutUint32(b[42:], ack)
	b[46], b[47] = 8<<4, byte(fl)
	binary.BigEndian.PutUint16(b[48:], 500)
	copy(b[54:], []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 1})
	copy(b[steadyHeader:], payload)
	return Frame{Time: at, Data: b, Length: len(b)}
}
