package tcpstate

import "connrace/tcpstate/internal/framing"

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
func (t *Tracker) see(v *sight, f *Flow, sd framing.Side, s *Segment, next, at Seq) {
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
	if uint32(len(p)) < n && (fr.Protocol() == framing.HTTP1 || fr.Protocol() == framing.Unknown && fr.Sync(sd, p) && fr.Protocol() == framing.HTTP1) {
		if status, ok := fr.CutHead(sd, p, &t.carries); ok {
			v.known = true
			if !(status/100 == 1) {
				v.begins, v.at, v.answers, v.head = true, at, true, uint32(len(p))
			}
			return
		}
	}
	if !fr.Synced(sd) && !(len(p) > 0 && fr.Sync(sd, p)) {
		v.known = fr.Meaningless(sd, p)
		return
	}
	v.known = true
	switch fr.Inside(sd) {
	case framing.ClosingBegins:
		v.only = CloseNotify
	case framing.SetupBegins:
		v.only = setUp
	}
	data := false
	for {
		b, used := fr.Next(sd, p, n, &t.carries)
		if b.Kind == framing.None {
			break
		}
		p, n = p[min(int(used), len(p)):], n-used
		at = at.Add(used)
		switch b.Kind {
		case framing.MessageBegins:
			if b.Interim() {
				continue
			}
			if sd == framing.Answers && fr.Protocol() == framing.HTTP1 && b.Status == 408 && fr.Open() == 0 {
				v.only = RequestTimeout408
				continue
			}
			v.begins, v.at, v.head = true, at-Seq(b.Back), 0
			data = true
			v.answers = fr.AnswersNewest(sd, &b)
		case framing.HeadEnds:
			if sd == framing.Requests && v.begins {
				v.head = uint32(at.Sub(v.at))
			}
			if sd == framing.Answers && !b.Interim() {
				f.flags &^= flowCloseAnnounced
				if b.Close {
					f.flags |= flowCloseAnnounced
				}
			}
		case framing.DataBegins:
			if !v.begins {
				v.begins, v.at, v.byTurn = true, at-Seq(b.Back), true
			}
			v.answers, data = true, true
		case framing.SetupBegins:
			if v.only == 0 {
				v.only = setUp
			}
		case framing.ClosingBegins:
			v.only = CloseNotify
			if fr.Protocol() == framing.HTTP2 {
				v.only = GoAway
			}
		case framing.SyncLost:
			if !v.begins && !data {
				v.known = fr.Meaningless(sd, p)
			}
		}
	}
	if data {
		v.only = 0
	}
}

// side is what a half does in the application protocol.
func (f *Flow) side(dir int) framing.Side {
	return framing.Side(dir^f.LB()) & 1
}

// skip tells the framing that octets are missing in the capture.
func (t *Tracker) skip(f *Flow, sd framing.Side, n uint32) {
	for {
		b, used := f.framing.Next(sd, nil, n, &t.carries)
		if b.Kind == framing.None {
			return
		}
		n -= used
	}
}
