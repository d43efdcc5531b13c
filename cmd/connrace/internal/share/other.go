package share

import (
	"bytes"
	"encoding/binary"
)

const (
	proxyV1  = "PROXY "
	proxyMax = 107
	proxyV2  = "\r\n\r\n\x00\r\nQUIT\n"
	proxyMin = 16

	ajpMagic  = 0x1234
	smb2Magic = "\xfeSMB"
)

// proxySize is the size of the PROXY header that b begins with (proxy-protocol.txt §2); 0: none.
func proxySize(b []byte) int {
	switch {
	case bytes.HasPrefix(b, []byte(proxyV1)):
		return bytes.IndexByte(b[:min(len(b), proxyMax)], '\n') + 1
	case len(b) >= proxyMin && string(b[:len(proxyV2)]) == proxyV2:
		return proxyMin + int(binary.BigEndian.Uint16(b[proxyMin-2:]))
	}
	return 0
}

// maskProxy masks a PROXY header: its addresses are the clients'.
func maskProxy(b []byte) []byte {
	out := make([]byte, len(b))
	if b[0] != proxyV1[0] {
		copy(out, b[:len(proxyV2)])
		out[12] = b[12]&1 | 0x20 // version 2, LOCAL or PROXY
		copy(out[proxyMin-2:], b[proxyMin-2:proxyMin])
		return out
	}
	n := copy(out, proxyV1+"UNKNOWN")
	for i := n; i < len(out)-2; i++ {
		out[i] = ' '
	}
	copy(out[len(out)-2:], "\r\n")
	return out
}

// goodbyes are messages behind which their senders close: SMTP, POP3, FTP, IRC and Redis; MySQL,
// PostgreSQL, MQTT.
var goodbyes = []string{"QUIT", "RSET\r\n", "quit", "\x01\x00\x00\x00\x01", "X\x00\x00\x00\x04", "\xe0\x00"}

// maskOther masks the beginning of a message whose protocol is not followed: what it is is shown.
// nil: it is nothing known.
func maskOther(b []byte) []byte {
	for _, g := range goodbyes {
		if bytes.HasPrefix(b, []byte(g)) {
			return []byte(g)
		}
	}
	show := func(at ...int) []byte {
		out := make([]byte, at[len(at)-1]+1)
		for _, i := range at {
			out[i] = b[i]
		}
		return out
	}
	be := binary.BigEndian
	switch {
	case len(b) >= 18 && b[0] == 0 && string(b[4:8]) == smb2Magic: // MS-SMB2 §2.1, §2.2.1: the command
		return show(4, 5, 6, 7, 16, 17)
	case len(b) >= 8 && b[0] == 0 && string(b[4:8]) == smb2Magic:
		return show(4, 5, 6, 7)
	case len(b) >= 5 && be.Uint16(b) == ajpMagic && (b[4] == 2 || b[4] == 10):
		return show(0, 1, 4)
	case len(b) >= 10 && b[0] == 1 && b[1] == 1 && be.Uint16(b[4:]) == 8 && be.Uint16(b[8:]) >= 1 && be.Uint16(b[8:]) <= 3: // FastCGI
		return show(0, 1, 4, 5, 8, 9)
	case len(b) >= 7 && b[0] == 0 && b[3] == 0 && b[6] >= 'A' && b[6] <= 'Z' && b[5] == 0 && b[4] > 0 && b[4] <= 64 &&
		int(binary.LittleEndian.Uint16(b[1:])) > int(b[4]): // uwsgi
		out := show(0, 1, 2, 3, 4, 5)
		return append(out, 'K')
	case len(b) >= 7 && len(b) <= 12 && b[0] == 0x30 && b[2] == 2 && b[len(b)-2] == 0x42 && b[len(b)-1] == 0: // LDAP unbind
		return show(0, 2, len(b)-2, len(b)-1)
	}
	if tag, word, ok := bytes.Cut(b, []byte{' '}); ok && len(tag) <= 16 && len(word) >= 6 && bytes.EqualFold(word[:6], []byte("LOGOUT")) { // IMAP
		return append(bytes.Repeat([]byte{'x'}, len(tag)), " LOGOUT"...)
	}
	return nil
}
