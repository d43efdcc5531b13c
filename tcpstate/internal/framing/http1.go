package framing

import "bytes"

// directionFlags are what the head at hand has said so far.
type directionFlags uint16

const (
	headLength     directionFlags = 1 << iota // Content-Length: left is its value
	headBadLength                             // no number, or two different ones
	headChunked                               // the final transfer coding is chunked
	headCoded                                 // the final transfer coding is another
	headClose                                 // Connection: close
	headKeep                                  // Connection: keep-alive
	headOld                                   // HTTP/1.0
	frameEnding                               // HTTP/2: the stream ends with the frame at hand
	recordAfterCCS                            // TLS: the newest record was change_cipher_spec
	recordSentCCS                             // TLS: there was one
	recordHello                               // TLS: a record of the handshake was seen
	recordKeys                                // TLS: more than one, so the client's keys too
)

// kinds of request that the framing of the answer depends on (RFC 9112 §6.3).
const (
	askOther uint16 = iota
	askHead
	askConnect
)

const (
	kindBits = 2
	maxOpen  = 32 / kindBits // pipelined requests whose kinds are kept
)

// syncHTTP1 resumes at a start line.
func (f *State) syncHTTP1(s Side, p []byte) bool {
	if s == Requests && !LooksLikeRequest(p) || s == Answers && !LooksLikeResponse(p) {
		return false
	}
	if s == Answers && f.open > 1 {
		// Which of them it answers is not known; without pipelining, the newest.
		f.ids[Requests] >>= kindBits * (f.open - 1)
		f.open = 1
	}
	if a := f.dir[Answers].state; s == Requests && a != startLine && a != headerLines {
		f.open = 0 // a new request: what was asked before has been answered
	}
	f.dir[s].state = between
	return true
}

// CutHead takes at once the beginning of a message whose head was not captured whole: the
// snap length cut it. It comes to what Sync and Next come to line by line. What lies
// behind cannot be framed, so sync is lost until the next start line. status is that of
// an answer.
func (f *State) CutHead(s Side, p []byte, pool *Pool) (status uint16, ok bool) {
	l := &f.dir[s&1]
	if l.state != unsynced && l.state != between {
		return 0, false
	}
	end := bytes.IndexByte(p, '\n') // of the first line
	if end >= 0 && hasEmptyLine(p[end+1:]) {
		return 0, false
	}
	if s == Requests {
		n := methodLen(p)
		if n == len(p) || !beginsRequest(p, n, end) {
			return 0, false
		}
		f.ids[Requests], f.open = uint32(askKind(p[:n])), 1
	} else {
		status = visibleStatus(p)
		if f.open != 1 || status == 0 || status == 101 || f.ids[Requests]&(1<<kindBits-1) == uint32(askConnect) {
			return 0, false
		}
		if status/100 != 1 {
			f.ids[Requests], f.open = 0, 0
			l.status = status
		}
	}
	l.lose(pool)
	return status, true
}

// hasEmptyLine reports whether an empty line is in p, which begins with a line.
func hasEmptyLine(p []byte) bool {
	for len(p) > 0 {
		if p[0] == '\n' || p[0] == '\r' && len(p) > 1 && p[1] == '\n' {
			return true
		}
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			return false
		}
		p = p[i+1:]
	}
	return false
}

// nextHTTP1 is Next for HTTP/1 (RFC 9112).
func (f *State) nextHTTP1(s Side, p []byte, n uint32, pool *Pool) (Boundary, uint32) {
	l := &f.dir[s&1]
	var used uint32
	for {
		switch l.state {
		case unsynced, untilClose:
			return Boundary{}, n
		case opaque:
			if isH2Upgrade(s, p) {
				f.toHTTP2(pool)
				return f.nextHTTP2(s, p, n, pool)
			}
			return Boundary{}, n
		case misframed:
			f.LoseSync(s, pool)
			return Boundary{Kind: SyncLost}, used
		case complete:
			l.state = between
			return Boundary{Kind: MessageEnds, numbers: numbers{Status: l.status}}, used
		case bodyOctets, chunkOctets:
			used += l.pass(n - used)
			if l.left > 0 {
				return Boundary{}, n
			}
			if l.state = complete; l.flags&headChunked != 0 {
				l.state = chunkEnd
			}
			continue
		}
		if used == n {
			return Boundary{}, n
		}
		if used >= uint32(len(p)) { // not captured, but needed
			l.state = misframed
			continue
		}
		if l.state == between {
			k, ok := messageStart(s, p[used:])
			used += uint32(k)
			switch {
			case !ok:
				l.state = misframed
			case used < uint32(len(p)):
				*l = direction{state: startLine}
				f.keep[s] = 0
				b := Boundary{Kind: MessageBegins}
				if s == Answers {
					b.Status = visibleStatus(p[used:])
				}
				return b, used
			}
			continue
		}
		if l.state == headerLines && l.kept == 0 {
			k, ended := f.wholeLines(s, p[used:])
			if used += uint32(k); ended {
				f.beginBody(s, pool)
				return f.headEnd(s), used
			}
			if k > 0 {
				continue
			}
		}
		line, k, ok := l.line(p[used:], pool)
		used += uint32(k)
		if ok && f.acceptLine(s, line, pool) {
			return f.headEnd(s), used
		}
	}
}

// wholeLines reads the header lines that are whole in p, up to and with the empty one that
// ends the head. It is what line and acceptLine do, in one go.
func (f *State) wholeLines(s Side, p []byte) (used int, ended bool) {
	l := &f.dir[s&1]
	for {
		i := bytes.IndexByte(p[used:], '\n')
		if i < 0 {
			return used, false
		}
		line := p[used : used+i]
		used += i + 1
		if i > 0 && line[i-1] == '\r' {
			line = line[:i-1]
		}
		if len(line) == 0 {
			return used, true
		}
		l.headerLine(line, &f.keep[s&1])
	}
}

// messageStart skips the empty lines that may stand before a message (RFC 9112 §2.2)
// and reports whether what follows can begin one where one is due.
func messageStart(s Side, p []byte) (skipped int, ok bool) {
	for skipped < len(p) && (p[skipped] == '\r' || p[skipped] == '\n') {
		skipped++
	}
	if p = p[skipped:]; s == Answers {
		return skipped, beginsStatusLine(p)
	}
	return skipped, beginsRequestLine(p)
}

// line joins octets up to the end of a line to those kept from segments before, and
// returns it without CR LF. A lone LF ends a line too (RFC 9112 §2.2). The line is valid
// until the next call; of a line in pieces it is the first carrySize octets.
func (l *direction) line(p []byte, pool *Pool) (line []byte, used int, ok bool) {
	i := bytes.IndexByte(p, '\n')
	if i < 0 {
		if !pool.add(&l.kept, p) {
			l.state = misframed
		}
		return nil, len(p), false
	}
	line = p[:i]
	if l.kept != 0 {
		pool.add(&l.kept, line)
		line = pool.get(l.kept)
		pool.release(&l.kept)
	}
	if k := len(line); k > 0 && line[k-1] == '\r' {
		line = line[:k-1]
	}
	return line, i + 1, true
}

// acceptLine interprets a whole line; it reports whether that was the end of a head.
func (f *State) acceptLine(s Side, line []byte, pool *Pool) bool {
	l := &f.dir[s&1]
	switch l.state {
	case startLine:
		if !f.startLine(s, line) {
			l.state = misframed
			return false
		}
		l.state = headerLines
	case headerLines: // a line of which a part came before
		if len(line) == 0 {
			f.beginBody(s, pool)
			return true
		}
		l.headerLine(line, &f.keep[s])
	case chunkSize:
		size, ok := parseChunkSize(line)
		switch {
		case !ok:
			l.state = misframed
		case size == 0:
			l.state = trailerLines
		default:
			l.state, l.left = chunkOctets, size
		}
	case chunkEnd:
		if l.state = chunkSize; len(line) != 0 {
			l.state = misframed
		}
	case trailerLines:
		if len(line) == 0 {
			l.state = complete
		}
	}
	return false
}

// startLine interprets a request or status line; false: it is none.
func (f *State) startLine(s Side, line []byte) bool {
	l := &f.dir[s&1]
	if s == Answers {
		status := visibleStatus(line)
		if status == 0 {
			return false
		}
		l.status = status
		if line[7] == '0' {
			l.flags |= headOld
		}
		return true
	}
	n := methodLen(line)
	if !beginsTarget(line, n) || len(line) != carrySize && !endsInVersion(line[n+1:]) {
		return false // of a longer line the version may have been cut
	}
	if bytes.HasSuffix(line, []byte("HTTP/1.0")) {
		l.flags |= headOld
	}
	return f.push(askKind(line[:n]))
}

// push adds a request to those outstanding; false: there are too many.
func (f *State) push(kind uint16) bool {
	if !f.Synced(Answers) {
		f.open = 0 // the answers to what was asked before are lost
	}
	if f.open == maxOpen {
		return false
	}
	at := kindBits * f.open
	f.ids[Requests] = f.ids[Requests]&(1<<at-1) | uint32(kind)<<at
	f.open++
	return true
}

// pop removes the oldest outstanding request; false: there is none.
func (f *State) pop() (kind uint16, ok bool) {
	if f.open == 0 {
		return askOther, false
	}
	kind = uint16(f.ids[Requests] & (1<<kindBits - 1))
	f.ids[Requests] >>= kindBits
	f.ids[Answers]++
	f.open--
	return kind, true
}

// beginBody decides at the end of a head what follows it (RFC 9112 §6.3).
func (f *State) beginBody(s Side, pool *Pool) {
	l := &f.dir[s&1]
	length := l.left
	l.left = 0
	l.state = complete
	if s == Answers && f.noBody(length, pool) {
		return
	}
	switch {
	case l.flags&(headChunked|headCoded) != 0 && l.flags&headOld != 0:
		l.state = misframed // HTTP/1.0 knows no transfer codings: faulty (RFC 9112 §6.1)
	case l.flags&headChunked != 0: // wins over Content-Length
		l.state = chunkSize
	case l.flags&headCoded != 0 && s == Requests, l.flags&headBadLength != 0:
		l.state = misframed
	case l.flags&headCoded != 0:
		l.state = untilClose
	case length > 0:
		l.state, l.left = bodyOctets, length
	case s == Answers && l.flags&headLength == 0:
		l.state = untilClose
	}
}

// noBody reports whether an answer has no body whatever its header fields say, or
// whether it cannot be known, and then takes care of it.
func (f *State) noBody(length uint64, pool *Pool) bool {
	l := &f.dir[Answers]
	if l.status < 200 && l.status != 101 {
		return true
	}
	kind, known := f.pop()
	switch {
	case l.status == 101, kind == askConnect && l.status/100 == 2:
		f.LoseSync(Requests, pool)
		f.dir[Requests].state, l.state = opaque, opaque
		return true
	case kind == askHead, l.status == 204, l.status == 304:
		return true
	case !known && l.flags&headLength == 0, !known && length > 0:
		// If the request was a HEAD no body follows.
		l.state = misframed
		return true
	}
	return false
}

// headEnd makes the boundary at the end of a head.
func (f *State) headEnd(s Side) Boundary {
	l := &f.dir[s&1]
	return Boundary{Kind: HeadEnds, Close: l.closes(), numbers: numbers{Status: l.status}}
}

// closes reports whether the head says that the connection ends with this message
// (RFC 9112 §9.3).
func (l *direction) closes() bool {
	return l.flags&headClose != 0 || l.flags&(headOld|headKeep) == headOld
}
