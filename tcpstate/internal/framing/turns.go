package framing

import "encoding/binary"

// Protocols between a load balancer and an application in which one request follows another
// on a connection, as in HTTP/1 without pipelining, and SMB 2, each of whose requests is answered
// too. What they say is not read.
const (
	ajpMagic = 0x1234 // of packets from the web server (AJP/1.3)

	fcgiVersion      = 1
	fcgiBeginRequest = 1 // FastCGI specification §3.3, §5.1
	fcgiBeginLength  = 8

	smb2 = "\xfeSMB" // MS-SMB2 §2.2.1, behind the length of MS-SMB2 §2.1
	// Commands of SMB 2 that wait for something to happen, or for nothing.
	smb2Cancel, smb2ChangeNotify = 12, 15
)

// NoTurn reports whether p begins a message of SMB 2 that need not be answered.
func NoTurn(p []byte) bool {
	if len(p) < 18 || string(p[4:8]) != smb2 {
		return false
	}
	c := binary.LittleEndian.Uint16(p[16:])
	return c == smb2Cancel || c == smb2ChangeNotify
}

// takesTurns reports whether p, the first octets of a request, is FastCGI's, uwsgi's, AJP's or
// SMB 2's.
func takesTurns(p []byte) bool {
	if len(p) < 5 {
		return false
	}
	be := binary.BigEndian
	switch {
	case p[0] == 0 && len(p) >= 8 && string(p[4:8]) == smb2:
		return true
	case be.Uint16(p) == ajpMagic:
		return p[4] == 2 || p[4] == 10 // FORWARD_REQUEST, CPING
	case p[0] == fcgiVersion && p[1] == fcgiBeginRequest:
		return len(p) >= 10 && be.Uint16(p[4:]) == fcgiBeginLength && be.Uint16(p[8:]) >= 1 && be.Uint16(p[8:]) <= 3
	case p[0] == 0 && len(p) >= 7 && p[3] == 0: // uwsgi: modifiers, and the length of the variables
		n := int(binary.LittleEndian.Uint16(p[4:]))
		return n > 0 && n <= 64 && int(binary.LittleEndian.Uint16(p[1:])) > n && p[6] >= 'A' && p[6] <= 'Z'
	}
	return false
}
