package share

import "encoding/binary"

// TLS (RFC 8446 §5.1, §4).
const (
	recordHead = 5
	recordMax  = 1<<14 + 2048

	recordChange    = 20
	recordAlert     = 21
	recordHandshake = 22
	recordHeartbeat = 24

	clientHello = 1
	serverHello = 2
	helloHead   = 4
	helloRandom = 2 + 32

	extName     = 0
	extALPN     = 16
	extVersions = 43
)

// isRecord reports whether b begins with a record, where none need be.
func isRecord(b []byte) bool {
	if !isRecordHead(b) {
		return false
	}
	switch n := binary.BigEndian.Uint16(b[3:]); b[0] {
	case recordChange:
		return n == 1
	case recordAlert:
		return n > 0 && n <= 256
	default:
		return n > 0
	}
}

func isRecordHead(b []byte) bool {
	return len(b) >= recordHead && b[0] >= recordChange && b[0] <= recordHeartbeat && b[1] == 3 && b[2] <= 4 && binary.BigEndian.Uint16(b[3:]) <= recordMax
}

// recordHeader reads the header of a record, which is shown.
func (h *half) recordHeader() {
	b := h.unit.join()
	if !isRecordHead(b) {
		h.unit.write(nil)
		h.state = lost
		return
	}
	n := uint64(binary.BigEndian.Uint16(b[3:]))
	h.unit.write(b)
	switch {
	case b[0] == recordHandshake && n > 0:
		h.state, h.left = tlsHandshake, n
	case b[0] == recordAlert && n == 2, b[0] == recordChange && n == 1:
		h.state, h.left = tlsAlert, n
	default:
		h.skip(n, tlsHeader)
	}
}

// hello masks a record of the handshake, whole or cut off: of a hello its form is shown, the
// versions and the known application protocols; the name is replaced. All else is zeros, as are
// the other messages, which may be sealed.
func (k *secret) hello(b []byte) []byte {
	out := make([]byte, len(b))
	if len(b) < helloHead+helloRandom || b[0] != clientHello && b[0] != serverHello || b[1] != 0 || b[4] != 3 || b[5] > 4 {
		return out
	}
	copy(out, b[:helloHead+2])
	w := walker{b: b[:min(len(b), helloHead+int(binary.BigEndian.Uint16(b[2:])))], out: out, at: helloHead + helloRandom}
	if !w.vector(1) { // session id
		return out
	}
	if b[0] == clientHello {
		if !w.vector(2) || !w.vector(1) { // suites, compression
			return out
		}
	} else if w.at += 3; w.at > len(w.b) {
		return out
	}
	if w.number(2) < 0 {
		return out
	}
	for {
		typ := w.number(2)
		n := w.number(2)
		if n < 0 || n > len(w.b)-w.at {
			return out
		}
		k.extension(typ, w.out[w.at:w.at+n], w.b[w.at:w.at+n], b[0])
		w.at += n
	}
}

// extension masks what an extension of a hello says.
func (k *secret) extension(typ int, out, b []byte, hello byte) {
	w := walker{b: b, out: out}
	switch typ {
	case extName: // RFC 6066 §3
		if w.number(2) < 0 {
			return
		}
		w.at++ // host_name is 0
		if n := w.number(2); n >= 0 && n <= len(b)-w.at {
			k.letters(out[w.at:w.at+n], b[w.at:w.at+n])
		}
	case extALPN: // RFC 7301 §3.1
		if w.number(2) < 0 {
			return
		}
		for {
			n := w.number(1)
			if n < 0 || n > len(b)-w.at {
				return
			}
			name := b[w.at : w.at+n]
			switch string(name) {
			case "h2", "h2c", "http/0.9", "http/1.0", "http/1.1", "spdy/1", "spdy/2", "spdy/3", "spdy/3.1", "h3", "acme-tls/1", "grpc-exp":
				copy(out[w.at:], name)
			default:
				k.letters(out[w.at:w.at+n], name)
			}
			w.at += n
		}
	case extVersions:
		if hello == serverHello && len(b) == 2 && b[0] == 3 && b[1] <= 4 {
			copy(out, b)
		}
	}
}

// walker goes through lengths, which are shown, and what they are of, which is not.
type walker struct {
	b, out []byte
	at     int
}

// number shows a number of so many octets; -1: it is not there.
func (w *walker) number(size int) (n int) {
	if size > len(w.b)-w.at {
		w.at = len(w.b)
		return -1
	}
	for range size {
		w.out[w.at] = w.b[w.at]
		n = n<<8 | int(w.b[w.at])
		w.at++
	}
	return n
}

// vector passes over one whose length has so many octets; false: it is not whole.
func (w *walker) vector(size int) bool {
	n := w.number(size)
	if n < 0 || n > len(w.b)-w.at {
		return false
	}
	w.at += n
	return true
}
