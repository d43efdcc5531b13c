package main

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"strings"
)

// flood is a capture of n frames that is made while it is read.
type flood struct {
	n, i uint64
	next func(f *flood, i uint64) // appends a frame, of which there are i before
	b    []byte                   // not read yet
	buf  []byte
	rand *rand.Rand
}

func newFlood(n uint64, next func(*flood, uint64)) *flood {
	f := &flood{n: n, next: next, rand: rand.New(rand.NewPCG(seed(), 2))}
	f.buf = binary.LittleEndian.AppendUint32(f.buf, 0xa1b2c3d4)
	f.buf = append(f.buf, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0)
	f.b = f.buf
	return f
}

func (f *flood) Read(p []byte) (int, error) {
	if len(f.b) == 0 {
		f.buf = f.buf[:0]
		for ; f.i < f.n && len(f.buf) < 1<<16; f.i++ {
			f.next(f, f.i)
		}
		if f.b = f.buf; len(f.b) == 0 {
			return 0, io.EOF
		}
	}
	n := copy(p, f.b)
	f.b = f.b[n:]
	return n, nil
}

// segment is one of a flood; ports are 0 for 80.
type segment struct {
	us           uint64 // since 2020
	src, dst     uint32
	sport, dport uint16
	seq, ack     uint32
	flags        byte
	payload      string
}

const (
	flagFIN, flagSYN, flagRST, flagPSH, flagACK = 1, 2, 4, 8, 16

	floodTarget = 10<<24 | 9
)

// ask is a segment of the LB's side of connection n, answer one of the target's.
func ask(n, us uint64, flags byte, seq, ack uint32, payload string) segment {
	return segment{us, 11<<24 + uint32(n/50000), floodTarget, uint16(1024 + n%50000), 80, seq, ack, flags, payload}
}

func answer(n, us uint64, flags byte, seq, ack uint32, payload string) segment {
	s := ask(n, us, flags, seq, ack, payload)
	s.src, s.dst, s.sport, s.dport = s.dst, s.src, s.dport, s.sport
	return s
}

// put appends a segment as a frame.
func (f *flood) put(s segment) {
	f.begin(s.us, 54+len(s.payload), 0x0800)
	f.ip(20+len(s.payload), 0, 0, 6, s.src, s.dst)
	f.tcp(s)
	f.buf = append(f.buf, s.payload...)
}

// begin appends a record header and an Ethernet header of a frame of size bytes.
func (f *flood) begin(us uint64, size int, ethertype uint16) {
	le := binary.LittleEndian
	us += 1_577_836_800_000_000
	f.buf = le.AppendUint32(f.buf, uint32(us/1e6))
	f.buf = le.AppendUint32(f.buf, uint32(us%1e6))
	f.buf = le.AppendUint32(f.buf, uint32(size))
	f.buf = le.AppendUint32(f.buf, uint32(size))
	f.buf = append(f.buf, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 1)
	f.buf = binary.BigEndian.AppendUint16(f.buf, ethertype)
}

// ip appends an IP header for size bytes.
func (f *flood) ip(size int, id, fragment uint16, protocol byte, src, dst uint32) {
	be := binary.BigEndian
	f.buf = be.AppendUint16(append(f.buf, 0x45, 0), uint16(20+size))
	f.buf = be.AppendUint16(be.AppendUint16(f.buf, id), fragment)
	f.buf = append(f.buf, 64, protocol, 0, 0)
	f.buf = be.AppendUint32(be.AppendUint32(f.buf, src), dst)
}

func (f *flood) tcp(s segment) {
	be := binary.BigEndian
	f.buf = be.AppendUint16(f.buf, s.sport)
	f.buf = be.AppendUint16(f.buf, s.dport)
	f.buf = be.AppendUint32(f.buf, s.seq)
	f.buf = be.AppendUint32(f.buf, s.ack)
	f.buf = append(f.buf, 0x50, s.flags, 1, 0, 0, 0, 0, 0)
}

const (
	floodRequest = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
	floodAnswer  = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
)

// floodHead goes on and on.
var floodHead = floodRequest[:len(floodRequest)-2] + "X-Request-Id: " + strings.Repeat("a", 1000)

// race puts step i%9 of a connection whose target closes while a request is on its way;
// turn makes another connection of it.
func (f *flood) race(i uint64, turn func(*segment)) {
	n, t := i/9, i/9*100
	const req, ans = uint32(len(floodRequest)), uint32(len(floodAnswer))
	s := [9]segment{
		ask(n, t, flagSYN, 0, 0, ""),
		answer(n, t+10, flagSYN|flagACK, 0, 1, ""),
		ask(n, t+20, flagACK, 1, 1, ""),
		ask(n, t+30, flagACK|flagPSH, 1, 1, floodRequest),
		answer(n, t+40, flagACK|flagPSH, 1, 1+req, floodAnswer),
		ask(n, t+50, flagACK, 1+req, 1+ans, ""),
		answer(n, t+60, flagACK|flagFIN, 1+ans, 1+req, ""),
		ask(n, t+65, flagACK|flagPSH, 1+req, 1+ans, floodRequest),
		answer(n, t+70, flagRST, 1+ans, 0, ""),
	}[i%9]
	if turn != nil {
		turn(&s)
	}
	f.put(s)
}

type floodMarks uint8

const (
	evicts floodMarks = 1 << iota // more connections than --max-flows
	leaps                         // of the clock
	noTCP                         // or little
)

var floods = []struct {
	name  string
	next  func(f *flood, i uint64)
	rule  string // of which there are findings
	marks floodMarks
}{
	{"distinct SYNs", func(f *flood, i uint64) { f.put(ask(i, i*10, flagSYN, uint32(i)*7919, 0, "")) }, "", evicts},
	{"distinct SYNs at one moment", func(f *flood, i uint64) { f.put(ask(i, 0, flagSYN, 5, 0, "")) }, "", evicts},
	{"SYNs three times", func(f *flood, i uint64) {
		// Rounds of 50 connections, a second apart; then a long pause, so that they are given up.
		round, rest := i/150, i%150
		f.put(ask(round*50+rest%50, round*200e6+rest/50*1e6+rest%50*10, flagSYN, 5, 0, ""))
	}, "syn-unanswered", 0},
	{"SYNs refused", func(f *flood, i uint64) {
		if i%2 == 0 {
			f.put(ask(i/2, i*5, flagSYN, 5, 0, ""))
		} else {
			f.put(answer(i/2, i*5, flagRST|flagACK, 0, 6, ""))
		}
	}, "connection-refused", evicts},
	{"the same ports with another SYN", func(f *flood, i uint64) { f.put(ask(0, i, flagSYN, uint32(i)*7919, 0, "")) }, "", evicts},
	{"races", func(f *flood, i uint64) { f.race(i, nil) }, "fin-request-crossing", evicts},
	{"races at one moment", func(f *flood, i uint64) { f.race(i, func(s *segment) { s.us = 0 }) }, "fin-request-crossing", evicts},
	{"races with as many listeners", func(f *flood, i uint64) {
		f.race(i, func(s *segment) {
			if s.dst == floodTarget {
				s.dst += uint32(i / 9)
			} else {
				s.src += uint32(i / 9)
			}
		})
	}, "fin-request-crossing", evicts},
	{"a clock that goes back and forth", func(f *flood, i uint64) {
		f.race(i, func(s *segment) { s.us += i / 18 % 2 * 30 * 365 * 24 * 3600e6 })
	}, "fin-request-crossing", leaps},
	{"every other frame years ahead", func(f *flood, i uint64) {
		f.race(i, func(s *segment) { s.us += i % 2 * 30 * 365 * 24 * 3600e6 })
	}, "fin-request-crossing", evicts | leaps},
	{"requests that nobody answers, and half heads", func(f *flood, i uint64) {
		n, t := i/4, i*10
		f.put([4]segment{
			ask(n, t, flagSYN, 0, 0, ""), answer(n, t, flagSYN|flagACK, 0, 1, ""),
			ask(n, t, flagACK|flagPSH, 1, 1, floodRequest[:3+n%uint64(len(floodRequest)-3)]),
			answer(n, t, flagACK|flagPSH, 1, 4, floodAnswer[:n%7]),
		}[i%4])
	}, "", evicts},
	{"anything", func(f *flood, i uint64) {
		r := f.rand
		s := segment{
			i, 10<<24 + r.Uint32N(3), 10<<24 + r.Uint32N(3), uint16(r.IntN(3)), uint16(r.IntN(3)),
			r.Uint32() << (r.IntN(4) * 8), r.Uint32() << (r.IntN(4) * 8), byte(r.Uint32()), floodRequest[:r.IntN(len(floodRequest))],
		}
		at := len(f.buf)
		f.put(s)
		if b := f.buf[at+16+14:]; r.IntN(2) == 0 {
			b[20+12] = byte(r.Uint32()) // header length
		} else if r.IntN(2) == 0 {
			b[2], b[3] = 0xff, 0xff // 64 KiB, not captured
		}
	}, "", evicts},
	{"payload without handshakes", func(f *flood, i uint64) {
		f.put(ask(i, i*10, flagACK|flagPSH, uint32(i)*7919, 1, floodRequest))
	}, "", evicts},
	{"heads without end", func(f *flood, i uint64) {
		n, seq := i/4, uint32(1)
		switch i % 4 {
		case 0:
			f.put(ask(n, i*10, flagSYN, 0, 0, ""))
			return
		case 1:
			f.put(answer(n, i*10, flagSYN|flagACK, 0, 1, ""))
			return
		case 3:
			seq += uint32(len(floodHead))
		}
		f.put(ask(n, i*10, flagACK|flagPSH, seq, 1, floodHead))
	}, "", evicts},
	{"a connection of holes", func(f *flood, i uint64) {
		if i%2 == 0 {
			f.put(ask(0, i*10, flagACK|flagPSH, uint32(i*1000), uint32(i*10), "x"))
		} else {
			f.put(answer(0, i*10, flagACK|flagPSH, uint32(i*10), uint32(i*1000), "x"))
		}
	}, "", 0},
	{"a connection of holes, backwards", func(f *flood, i uint64) {
		f.put(ask(0, i*10, flagACK|flagPSH, -uint32(i*1000), 1, floodRequest))
	}, "", 0},
	{"a connection of requests, none of them answered", func(f *flood, i uint64) {
		p := strings.Repeat(floodRequest, 10)
		f.put(ask(0, i*10, flagACK|flagPSH, uint32(i)*uint32(len(p)), 1, p))
	}, "", 0},
	{"a connection of HTTP/2 streams", func(f *flood, i uint64) {
		if i == 0 {
			f.put(ask(0, 0, flagACK|flagPSH, 1, 1, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
			return
		}
		h := binary.BigEndian.AppendUint32([]byte{0, 0, 1, 1, 5}, uint32(2*i-1)) // HEADERS
		f.put(ask(0, i*10, flagACK|flagPSH, 25+uint32(i-1)*10, 1, string(h)+"\x82"))
	}, "", 0},
	{"the same request, FIN and RST again and again", func(f *flood, i uint64) {
		if i < 8 {
			f.race(i, nil)
			return
		}
		f.put([3]segment{
			ask(0, i*1e6, flagACK|flagPSH, 1+uint32(len(floodRequest)), 1+uint32(len(floodAnswer)), floodRequest),
			answer(0, i*1e6, flagACK|flagFIN, 1+uint32(len(floodAnswer)), 1+uint32(len(floodRequest)), ""),
			answer(0, i*1e6, flagRST, 1+uint32(len(floodAnswer)), 0, ""),
		}[i%3])
	}, "fin-request-crossing", 0},
	{"SYNs while as many requests wait", func(f *flood, i uint64) {
		half := f.n / 2
		if n := i / 4; i < half {
			f.put([4]segment{
				ask(n, i, flagSYN, 0, 0, ""), answer(n, i, flagSYN|flagACK, 0, 1, ""), ask(n, i, flagACK|flagPSH, 1, 1, floodRequest),
				answer(n, i, flagACK, 1, 1+uint32(len(floodRequest)), ""),
			}[i%4])
			return
		}
		if i == f.n-1 { // much later, so that they are given up
			f.put(ask(i, 600e6, flagSYN, 7, 0, ""))
			return
		}
		i -= half
		third := max((f.n-half)/3, 1)
		f.put(ask(half+i%third, half+uint64([]int{1e6, 3e6, 7e6, 9e6}[i/third]), flagSYN, 7, 0, ""))
	}, "", evicts},
	{"datagrams of which a fragment is missing", func(f *flood, i uint64) {
		f.begin(i*10, 14+20+24, 0x0800)
		s := ask(i, 0, flagSYN, 5, 0, "")
		f.ip(24, uint16(i), 0x2000|uint16(i%2), 6, s.src, s.dst)
		f.tcp(s)
		f.buf = append(f.buf, 1, 1, 1, 1)
	}, "", noTCP},
	{"one datagram of fragments that overlap", func(f *flood, i uint64) {
		f.begin(i*10, 14+20+24, 0x0800)
		s := ask(0, 0, flagSYN, 5, 0, "")
		f.ip(24, 1, 0x2000|uint16(1+f.rand.IntN(0x1ff0)), 6, s.src, s.dst)
		f.tcp(s)
		f.buf = append(f.buf, 1, 1, 1, 1)
	}, "", noTCP},
	{"deep tunnels", func(f *flood, i uint64) {
		levels := 50
		if i%1000 == 7 {
			levels = 2500
		}
		s := ask(i, 0, flagSYN, 5, 0, "")
		f.begin(i*10, 14+levels*24+40, 0x0800)
		for left := levels; left > 0; left-- {
			f.ip(left*24-20+40, 0, 0, 47, s.src, s.dst)
			f.buf = append(f.buf, 0, 0, 8, 0) // GRE
		}
		f.ip(20, 0, 0, 6, s.src, s.dst)
		f.tcp(s)
	}, "", evicts},
	{"deep tags", func(f *flood, i uint64) {
		levels := 100
		if i%1000 == 7 {
			levels = 15000
		}
		s := ask(i, 0, flagSYN, 5, 0, "")
		f.begin(i*10, 14+levels*4+40, 0x8100)
		for range levels - 1 {
			f.buf = append(f.buf, 0, 1, 0x81, 0)
		}
		f.buf = append(f.buf, 0, 1, 8, 0)
		f.ip(20, 0, 0, 6, s.src, s.dst)
		f.tcp(s)
	}, "", evicts},
}
