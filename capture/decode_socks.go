package capture

import (
	"encoding/binary"

	"connrace/tcpstate"
)

// socksPort is where Wireshark expects SOCKS.
const socksPort = 1080

// maxProxied bounds how many SOCKS connections are followed; beyond that all are forgotten,
// and stream numbers may differ from Wireshark's.
const maxProxied = 1024

// socks follows the handshakes of SOCKS connections (RFC 1928, SOCKS 4) only to number
// streams as Wireshark does: it dissects what such a connection carries as a connection to
// the port that was asked for (call_next_dissector in packet-socks.c), with a stream number
// of its own.
type socks struct {
	proxied map[[2]tcpstate.Endpoint]*proxied
}

// proxied is one SOCKS connection. The states are those of packet-socks.c.
type proxied struct {
	client   tcpstate.Endpoint // who sent first
	version  uint8
	command  uint8
	method   uint8 // of authentication
	asking   socksAsking
	replying socksReplying
	port     uint16 // that was asked for
	done     uint64 // the frame that ended the handshake; 0: not yet
	next     [2]tcpstate.Seq
	spoke    [2]bool
}

type socksAsking uint8

const (
	askMethods socksAsking = iota
	askWaits
	askCommand
	askDone
)

type socksReplying uint8

const (
	replyMethod socksReplying = iota
	replyWaits
	replyUser
	replyGSSAPI
	replyCommand
	replyDone
	replyError
)

const (
	socksConnect = 1
	socksPing    = 0x80
	socksTrace   = 0x81
	socksNone    = 0
	socksGSSAPI  = 1
	socksUser    = 2
	socksGranted = 90 // SOCKS 4
)

// follow updates the connection that a segment to or from the SOCKS port belongs to. If
// Wireshark dissects the payload as one of its own connection, ok is true, and port stands
// there in the place of 1080.
func (x *socks) follow(s *tcpstate.Segment) (port uint16, ok bool) {
	key, way := [2]tcpstate.Endpoint{s.Src, s.Dst}, 0
	if s.Src.Port == socksPort {
		key, way = [2]tcpstate.Endpoint{s.Dst, s.Src}, 1
	}
	if s.Flags&(tcpstate.SYN|tcpstate.ACK) == tcpstate.SYN {
		delete(x.proxied, key)
	}
	if len(s.Payload) == 0 {
		return 0, false
	}
	p := x.proxied[key]
	if p == nil {
		if x.proxied == nil || len(x.proxied) >= maxProxied {
			x.proxied = make(map[[2]tcpstate.Endpoint]*proxied)
		}
		p = &proxied{client: s.Src, version: s.Payload[0]}
		x.proxied[key] = p
	}
	if p.spoke[way] && s.Seq.Before(p.next[way]) {
		return 0, false // a retransmission
	}
	p.spoke[way], p.next[way] = true, s.End()
	if p.done == 0 {
		p.handshake(s.Payload, s.Src == p.client)
		if p.asking == askDone && p.replying == replyDone {
			p.done = s.Frame
		}
		return 0, false
	}
	return p.port, s.Frame > p.done && p.command != socksPing && p.command != socksTrace
}

func (p *proxied) handshake(b []byte, fromClient bool) {
	switch {
	case len(b) < 2:
	case p.version == 4 && fromClient && p.asking != askDone:
		p.command = b[1]
		if p.command == socksConnect && len(b) >= 4 {
			p.port = binary.BigEndian.Uint16(b[2:])
		}
		p.asking = askDone
	case p.version == 4 && !fromClient && p.replying < replyDone:
		p.replying = replyError
		if b[1] == socksGranted {
			p.replying = replyDone
		}
	case p.version == 5 && fromClient:
		p.ask5(b)
	case p.version == 5:
		p.reply5(b)
	}
}

// ask5 handles what the client sends (RFC 1928 §3, §4).
func (p *proxied) ask5(b []byte) {
	switch {
	case p.asking == askMethods:
		n := int(b[1])
		if n > 1 || n == 1 && (len(b) < 3 || b[2] != socksNone) {
			p.asking = askWaits
			return
		}
		p.asking = askCommand
		if b = b[2+n:]; len(b) >= 2 {
			p.ask5(b)
		}
	case p.asking == askWaits && p.replying == replyWaits:
		p.asking = askCommand
		p.replying = replyUser
		if p.method == socksGSSAPI {
			p.replying = replyGSSAPI
		}
	case p.asking == askCommand:
		p.command = b[1]
		if at := addressEnd5(b); p.command == socksConnect && len(b) >= at+2 {
			p.port = binary.BigEndian.Uint16(b[at:])
		}
		p.asking = askDone
	}
}

// addressEnd5 is where the address of a request ends (RFC 1928 §5).
func addressEnd5(b []byte) int {
	const ip4, name, ip6, at = 1, 3, 4, 4
	switch {
	case len(b) <= at:
	case b[at-1] == ip4:
		return at + 4
	case b[at-1] == name:
		return at + 1 + int(b[at])
	case b[at-1] == ip6:
		return at + 16
	}
	return at
}

// reply5 handles what the proxy sends (RFC 1928 §3, §6; RFC 1929, RFC 1961 for the methods).
func (p *proxied) reply5(b []byte) {
	switch p.replying {
	case replyMethod:
		switch p.method = b[1]; p.method {
		case socksNone:
			p.replying, p.asking = replyCommand, askCommand
		case socksUser, socksGSSAPI:
			p.replying = replyWaits
		default:
			p.replying = replyError
		}
	case replyUser:
		p.replying = replyCommand
	case replyGSSAPI:
		switch {
		case b[1] == 0xff:
			p.replying = replyError
		case len(b) >= 4 && binary.BigEndian.Uint16(b[2:]) == 0:
			p.replying = replyCommand
		}
	case replyCommand:
		switch p.command {
		case socksConnect, socksPing, socksTrace:
			p.replying = replyDone
		}
	}
}
