package main

import (
	"encoding/binary"
	"io"
	"slices"
	"time"

	"connrace/pcaps"
	"connrace/tcpstate"
)

// Captures of targets in trouble, for what costs more the more waits. What is found in them is
// not counted here.

// outage is what such a capture holds.
type outage struct {
	stalled int           // requests that have no answer
	syns    int           // connections asked for meanwhile, three times each, in vain
	slow    int           // connections whose answers are late
	rounds  int           // of requests on each of these
	late    time.Duration // and how late the answers come
	targets int           // that all these are dealt to
}

// packet is one of it.
type packet struct {
	at       time.Duration
	conn     int  // which says the LB's end
	lb       bool // it sends it
	flags    tcpstate.Flags
	seq, ack uint32
	payload  string
}

const (
	outageRequest = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
	outageAnswer  = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
	half          = 500 * time.Millisecond // between two requests of a slow connection
)

// packets are those of the outage, in the order of time.
func (o *outage) packets() (all []packet) {
	const lbISN, targetISN = 1000, 5000
	open := func(at time.Duration, conn int) {
		all = append(
			all, packet{at, conn, true, tcpstate.SYN, lbISN, 0, ""},
			packet{at + 50*time.Microsecond, conn, false, tcpstate.SYN | tcpstate.ACK, targetISN, lbISN + 1, ""},
			packet{at + 100*time.Microsecond, conn, true, tcpstate.ACK, lbISN + 1, targetISN + 1, ""},
		)
	}
	conn := 0
	for i := range o.stalled {
		at := time.Second + time.Duration(i)*200*time.Microsecond
		open(at, conn)
		all = append(all, packet{at + 150*time.Microsecond, conn, true, tcpstate.ACK | tcpstate.PSH, lbISN + 1, targetISN + 1, outageRequest})
		conn++
	}
	for i := range o.syns {
		at := 4*time.Second + 40*time.Second*time.Duration(i)/time.Duration(o.syns)
		for _, again := range [...]time.Duration{0, 1, 3} {
			all = append(all, packet{at + again*time.Second, conn, true, tcpstate.SYN, lbISN, 0, ""})
		}
		conn++
	}
	for i := range o.slow {
		at := time.Second + half*time.Duration(i)/time.Duration(o.slow)
		open(at-time.Millisecond, conn)
		seq, ack := uint32(lbISN+1), uint32(targetISN+1)
		for range o.rounds {
			all = append(all, packet{at, conn, true, tcpstate.ACK | tcpstate.PSH, seq, ack, outageRequest})
			seq += uint32(len(outageRequest))
			all = append(all, packet{at + o.late, conn, false, tcpstate.ACK | tcpstate.PSH, ack, seq, outageAnswer})
			ack += uint32(len(outageAnswer))
			at += half
		}
		conn++
	}
	if o.syns > 0 { // time passes until the last of them is given up
		all = append(all, packet{2 * time.Minute, conn, true, tcpstate.SYN, lbISN, 0, ""})
	}
	slices.SortStableFunc(all, func(a, b packet) int { return int(a.at - b.at) })
	return all
}

// write writes the capture.
func (o *outage) write(w io.Writer, f pcaps.FileFormat) error {
	pw := pcaps.NewWriter(w, f, pcaps.Ethernet, 0)
	for _, p := range o.packets() {
		data := p.frame(o.targets)
		if err := pw.Frame(&pcaps.Frame{Time: start.Add(p.at).UnixNano(), Data: data, Length: len(data)}); err != nil {
			return err
		}
	}
	return nil
}

// frame is a packet in an Ethernet frame, without checksums; there are so many targets.
func (p *packet) frame(targets int) []byte {
	const tcp, header = 34, 54
	be := binary.BigEndian
	b := make([]byte, header, header+len(p.payload))
	b[0], b[6], b[12], b[14], b[22], b[23], b[46], b[47] = 2, 2, 8, 0x45, 64, 6, 0x50, byte(p.flags)
	be.PutUint16(b[16:], uint16(header-14+len(p.payload)))
	const perHost = 50_000
	ends := [2]uint32{10<<24 | uint32(1+p.conn/perHost), 10<<24 | 1<<16 | 1 + uint32(p.conn%targets)}
	ports := [2]uint16{uint16(1025 + p.conn%perHost), 8080}
	from := 0
	if !p.lb {
		from = 1
	}
	be.PutUint32(b[26:], ends[from])
	be.PutUint32(b[30:], ends[1-from])
	be.PutUint16(b[tcp:], ports[from])
	be.PutUint16(b[tcp+2:], ports[1-from])
	be.PutUint32(b[tcp+4:], p.seq)
	be.PutUint32(b[tcp+8:], p.ack)
	be.PutUint16(b[tcp+14:], 0xffff)
	return append(b, p.payload...)
}
