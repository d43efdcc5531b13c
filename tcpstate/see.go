package tcpstate

// sight is what the framing says of a segment's new octets.
type sight struct {
	verdict
	at   Seq    // where it begins; valid iff begins
	head uint32 // octets of the request's head, as far as it was captured; 0: not known
	only NotifyKind
}

type verdict struct {
	known   bool // it understands them; else only their direction speaks
	begins  bool // a request or an answer begins
	byTurn  bool // whether that is a new turn, the direction must say: TLS data
	answers bool // they answer the newest request
}

// see feeds a segment's new octets to the framing. next is the octet that was expected;
// those up to at are missing in the capture. v is what it fills.
func (t *Tracker) see(v *sight, f *Flow, sd side, s *Segment, next, at Seq) {
	if n := at.Sub(next); n > 0 {
		t.skip(f, sd, uint32(n))
	}
	off := uint32(at.Sub(s.Seq))
	if s.Flags&SYN != 0 {
		off--
	}
	var p []byte
	if off < uint32(len(s.Payload)) {
		p = s.Payload[off:]
	}
	n := s.Len - off
	fr := &f.framing
	if uint32(len(p)) < n && (fr.proto == protoHTTP1 || fr.proto == protoUnknown && fr.sync(sd, p) && fr.proto == protoHTTP1) {
		if status, ok := fr.cutHead(sd, p, &t.carries); ok {
			v.known = true
			if !(status/100 == 1) {
				v.begins, v.at, v.answers, v.head = true, at, true, uint32(len(p))
			}
			return
		}
	}
	if !fr.synced(sd) && !(len(p) > 0 && fr.sync(sd, p)) {
		v.known = fr.mute(sd, p)
		return
	}
	v.known = true
	switch fr.inside(sd) {
	case closingBegins:
		v.only = CloseNotify
	case setupBegins:
		v.only = setUp
	}
	data := false
	for {
		b, used := fr.next(sd, p, n, &t.carries)
		if b.kind == noBoundary {
			break
		}
		p, n = p[min(int(used), len(p)):], n-used
		at = at.Add(used)
		switch b.kind {
		case messageBegins:
			if b.interim() {
				continue
			}
			if sd == answers && fr.proto == protoHTTP1 && b.status == 408 && fr.open == 0 {
				v.only = RequestTimeout408
				continue
			}
			v.begins, v.at, v.head = true, at-Seq(b.back), 0
			data = true
			if fr.proto == protoHTTP2 {
				v.answers = sd == answers && b.stream == fr.ids[asks]
			} else {
				v.answers = fr.open <= 1
			}
		case headEnds:
			if sd == asks && v.begins {
				v.head = uint32(at.Sub(v.at))
			}
			if sd == answers && !b.interim() {
				f.flags &^= flowCloseAnnounced
				if b.close {
					f.flags |= flowCloseAnnounced
				}
			}
		case dataBegins:
			if !v.begins {
				v.begins, v.at, v.byTurn = true, at-Seq(b.back), true
			}
			v.answers, data = true, true
		case setupBegins:
			if v.only == 0 {
				v.only = setUp
			}
		case closingBegins:
			v.only = CloseNotify
			if fr.proto == protoHTTP2 {
				v.only = GoAway
			}
		case syncLost:
			if !v.begins && !data {
				v.known = fr.mute(sd, p)
			}
		}
	}
	if data {
		v.only = 0
	}
}

// mute reports whether the direction of octets p, which the framing does not understand,
// says nothing. Of HTTP/2 it never does: both sides send as they like. In HTTP/1 a request
// begins with a request line: other octets of the LB are of a body, or of a protocol
// that it changed to in a part that the capture does not have.
func (f *framing) mute(s side, p []byte) bool {
	return f.proto == protoHTTP2 || f.proto == protoHTTP1 && s == asks && len(p) > 0
}

// side is what a half does in the application protocol.
func (f *Flow) side(dir int) side {
	return side(dir^f.LB()) & 1
}

// skip tells the framing that octets are missing in the capture.
func (t *Tracker) skip(f *Flow, sd side, n uint32) {
	for {
		b, used := f.framing.next(sd, nil, n, &t.carries)
		if b.kind == noBoundary {
			return
		}
		n -= used
	}
}
