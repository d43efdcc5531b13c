package tcpstate

import "bytes"

// RequestHead is what a finding shows of a request. The strings are the peer's octets
// as they came: whoever prints them must escape them.
type RequestHead struct {
	Method, Target, Version string
	TraceID                 string // X-Amzn-Trace-Id
	RequestID               string // X-Request-Id
	// TargetCut: the kept octets end in the target.
	TargetCut bool
}

// ParseRequestHead reads the beginning of an HTTP/1 request, however much of it there
// is. Header fields count only if their line is whole. The zero value: no request.
func ParseRequestHead(p []byte) (h RequestHead) {
	p = p[min(proxyHeader(p), len(p)):]
	n, _ := messageStart(asks, p)
	p = p[n:]
	if !looksLikeRequest(p) || isPreface(p) {
		return h
	}
	line, rest, whole := cutLine(p)
	method, target, more := bytes.Cut(line, []byte{' '})
	if !more {
		return h // the method may be cut
	}
	h.Method = string(method)
	if i := bytes.LastIndexByte(target, ' '); whole {
		h.Version = string(target[i+1:])
		target = bytes.TrimRight(target[:i], " ")
	} else if i >= 0 {
		target = target[:i]
	} else {
		h.TargetCut = true
	}
	h.Target = string(target)
	fields(rest, func(name, value []byte) {
		switch {
		case h.TraceID == "" && fold(name, "x-amzn-trace-id"):
			h.TraceID = string(value)
		case h.RequestID == "" && fold(name, "x-request-id"):
			h.RequestID = string(value)
		}
	})
	return h
}

// ResponseHead is what a finding shows of a response.
type ResponseHead struct {
	Status    int
	Version   string
	KeepAlive int // seconds of Keep-Alive: timeout=; 0: not announced
	Close     bool
}

// ParseResponseHead reads the beginning of an HTTP/1 response, however much of it there
// is. The zero value: no response, or the status is not in it.
func ParseResponseHead(p []byte) (h ResponseHead) {
	n, _ := messageStart(answers, p)
	p = p[n:]
	h.Status = int(visibleStatus(p))
	if h.Status == 0 {
		return h
	}
	h.Version = string(p[:8])
	var l lane
	var keep uint16
	_, rest, _ := cutLine(p)
	for {
		line, more, whole := cutLine(rest)
		if !whole || len(line) == 0 {
			break
		}
		l.header(line, &keep)
		rest = more
	}
	if p[7] == '0' {
		l.flags |= headOld
	}
	h.KeepAlive, h.Close = int(keep), l.closes()
	return h
}

// fields calls fn with the header fields of a head's whole lines.
func fields(p []byte, fn func(name, value []byte)) {
	for {
		line, rest, whole := cutLine(p)
		if !whole || len(line) == 0 {
			return
		}
		if i := bytes.IndexByte(line, ':'); i > 0 {
			fn(bytes.TrimRight(line[:i], " \t"), bytes.Trim(line[i+1:], " \t"))
		}
		p = rest
	}
}

// cutLine cuts p behind its first line; whole: the line's end is there.
func cutLine(p []byte) (line, rest []byte, whole bool) {
	line, rest, whole = bytes.Cut(p, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte{'\r'}), rest, whole
}
