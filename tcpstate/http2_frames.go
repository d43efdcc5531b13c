package tcpstate

import (
	"slices"

	"connrace/tcpstate/internal/framing"
)

// What the frames of HTTP/2 say of its streams.

// classifyHTTP2 is the part of classify for octets of HTTP/2 that are understood: p is what was
// captured of the n octets from at on.
func (t *Tracker) classifyHTTP2(v *content, f *Flow, dir int, s *Segment, p []byte, n uint32, at Seq) {
	fr, sd, h := &f.framing, f.side(dir), t.http2Of(f)
	if len(h.Streams) > 0 && h.Streams[0].missing != [2]bool{} && s.Time-h.Streams[0].Request.Time > doubtFor {
		t.forgetDoubtful(f, h, s.Time)
	}
	if acked := f.Half[f.LB()].Ack; len(h.Streams) > 0 && h.Streams[0].Done {
		t.ForgetStreams(f, func(s *H2Stream) bool { return s.Done && s.end.AtOrBefore(acked) })
	}
	v.known = true
	data, goAway := false, SegRef{}
	for {
		b, used := fr.Next(sd, p, n, &t.carries)
		if b.Kind == framing.None {
			break
		}
		p, n = p[min(int(used), len(p)):], n-used
		at = at.Add(used)
		from := at - Seq(b.Back)
		st, _ := h.find(b.Stream)
		switch {
		case b.Kind == framing.ClosingBegins: // its stream is the last one
		case st != nil:
			if b.Kind != framing.StreamReset { // which may come behind its end, too
				st.missing[dir] = false
			}
			if sd == framing.Answers && (b.Kind == framing.BodyBegins || b.Kind == framing.MessageEnds) && !st.Answer.Set() {
				st.Answer = t.ref(s, f.stream, from) // its HEADERS are missing
			}
		case sd == framing.Answers && (b.Kind == framing.BodyBegins || b.Kind == framing.MessageBegins) && b.Stream <= fr.NewestStream(&t.carries):
			h.Idle = 0 // one is open that is not followed
		case sd == framing.Answers && b.Stream > fr.NewestStream(&t.carries):
			h.early(b.Stream)
		}
		switch b.Kind {
		case framing.MessageBegins:
			data = true
			if sd == framing.Requests {
				t.openStream(f, h, b.Stream, t.ref(s, f.stream, from))
				v.answers = true
			} else if st != nil && !st.Answer.Set() {
				st.Answer = t.ref(s, f.stream, from)
				v.answers = v.answers || b.Stream == fr.NewestStream(&t.carries)
			}
			if !v.begins {
				v.begins, v.at = true, from
			}
		case framing.HeadEnds:
			if st != nil {
				t.streamHead(f, sd, st, s)
			}
		case framing.BodyBegins:
			data = true
			if st != nil && sd == framing.Answers {
				st.Received += fr.Left(sd)
			}
		case framing.MessageEnds:
			if st != nil && sd == framing.Answers {
				st.finish(h, at, s.Time)
			} else if st != nil {
				st.sentAll, st.sentEnd = true, at
			}
		case framing.StreamReset:
			if st != nil && !st.Done {
				t.resetStream(f, h, st, dir, t.ref(s, f.stream, from), b.Status)
			}
		case framing.ClosingBegins:
			goAway = t.ref(s, f.stream, from)
			if sd == framing.Answers && b.Status == framing.UnknownCode {
				f.flags |= flowUnread
				h.unread = true
				h.doubtUnanswered(dir)
			}
			if sd == framing.Answers && b.Stream < h.Last {
				h.GoAway, h.Last, h.Code = goAway, b.Stream, b.Status
				t.failLater(f, h, s.Time)
			}
		case framing.SyncLost:
			t.doubtStreams(f, dir)
			if uint32(len(p)) < n {
				f.flags |= flowUnread
			}
		}
	}
	if !goAway.Set() {
		return
	}
	if v.control = GoAway; data {
		v.control = 0
		if m := &t.notes(f).Half[dir]; !m.Notify.Set() {
			m.Notify, m.NotifyKind = goAway, GoAway
		}
	}
}

// skipHTTP2 is skip. Inside of a frame nothing is lost with the octets; else any stream may have
// ended with them.
func (t *Tracker) skipHTTP2(f *Flow, sd framing.Side, at Seq, n uint32) {
	dir, h := int(sd)^f.LB(), t.http2Of(f)
	if !f.framing.Synced(sd) {
		t.doubtStreams(f, dir)
		return
	}
	for {
		b, used := f.framing.Next(sd, nil, n, &t.carries)
		n, at = n-used, at.Add(used)
		st, _ := h.find(b.Stream)
		switch {
		case b.Kind == framing.None:
			return
		case b.Kind == framing.MessageEnds && st != nil && sd == framing.Answers:
			st.finish(h, at, t.now)
		case b.Kind == framing.HeadEnds && st != nil:
			t.streamHead(f, sd, st, nil)
		case b.Kind != framing.MessageEnds:
			t.doubtStreams(f, dir)
		}
	}
}

// openStream follows a new stream.
func (t *Tracker) openStream(f *Flow, h *HTTP2, id uint32, ref SegRef) {
	if len(h.Streams) >= h.sweep {
		acked := f.Half[f.LB()].Ack
		t.ForgetStreams(f, func(s *H2Stream) bool { return s.Done && s.end.AtOrBefore(acked) })
		t.forgetDoubtful(f, h, ref.Time)
		h.sweep = 2*len(h.Streams) + 16
	}
	if len(h.Streams) >= maxStreams || !t.carries.Take(streamCost) {
		t.UnfollowedStreams++
		return
	}
	st := &H2Stream{ID: id, Request: ref, Gap: -1}
	st.missing[1-f.LB()] = h.unread || id <= h.lost || slices.Contains(h.ahead, id)
	if h.open == 0 && h.Idle != 0 {
		st.Gap = max(ref.Time-h.Idle, 0)
	}
	h.open++
	h.Streams = append(h.Streams, st)
	if id > h.Last {
		t.failLater(f, h, ref.Time)
	}
}

// The values of grpc-status by which a server says that it failed.
const (
	grpcInternal    = 13
	grpcUnavailable = 14
)

// streamHead takes the header fields of a stream's request or answer.
func (t *Tracker) streamHead(f *Flow, sd framing.Side, st *H2Stream, s *Segment) {
	x := f.framing.Fields(sd, &t.carries)
	if sd == framing.Requests {
		if !st.Whole {
			if st.Whole, st.Timeout = true, x.GRPCTimeout; t.carries.Take(x.Octets()) {
				st.Head = x.RequestHead
			}
			t.fireStream(StreamBegan, f, f.LB(), s, st)
		}
		return
	}
	if x.GRPCStatus != 0 {
		st.GRPCStatus = x.GRPCStatus
	}
	if x.Status/100 == 5 || x.GRPCStatus == grpcInternal+1 || x.GRPCStatus == grpcUnavailable+1 {
		t.fire(ServerError, f, 1-f.LB(), s)
	}
	switch {
	case x.Status/100 == 1:
		st.Answer = SegRef{} // not the final one
	case st.Status == 0:
		if st.Status = x.Status; st.ContentType == "" && t.carries.Take(len(x.ContentType)) {
			st.ContentType = x.ContentType
		}
		t.fireStream(StreamAnswered, f, 1-f.LB(), s, st)
	}
}

// AnswerServer is the server field of an HTTP/2 answer, "": there is none, and whether the answer came
// through another program, or may have. It is valid in the handler of StreamAnswered; the string is the peer's.
func (t *Tracker) AnswerServer(f *Flow) (server string, passedOn bool) {
	x := f.framing.Fields(framing.Answers, &t.carries)
	return x.Server, x.PassedOn
}

// FirstSettings are the octets of the first SETTINGS frame of an HTTP/2 connection's client, or server; nil: it is not known.
// They are valid until the next segment.
func (t *Tracker) FirstSettings(f *Flow, server bool) []byte {
	sd := framing.Requests
	if server {
		sd = framing.Answers
	}
	return f.framing.FirstSettings(sd, &t.carries)
}

// resetStream notes a stream's RST_STREAM.
func (t *Tracker) resetStream(f *Flow, h *HTTP2, st *H2Stream, dir int, ref SegRef, code uint16) {
	if own := st.resetBy(dir == f.LB()); !own.Set() {
		*own = ref
	} else {
		return
	}
	if dir == f.LB() {
		st.CodeByLB = code
	} else {
		st.Code = code
	}
	if !st.resetBy(dir != f.LB()).Set() {
		h.ended(ref.Time)
	}
	t.failLater(f, h, ref.Time)
}

// AddedInPassing reports whether a header field, its name in small letters, is one that programs add to
// answers which they pass on, be it of HTTP/1 or of HTTP/2.
func AddedInPassing(name string) bool { return framing.AddedInPassing(name) }
