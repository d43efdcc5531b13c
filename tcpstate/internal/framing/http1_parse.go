package framing

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

// Octets is how many octets its strings have.
func (h *RequestHead) Octets() int {
	return len(h.Method) + len(h.Target) + len(h.TraceID) + len(h.RequestID)
}

// ParseRequestHead reads the beginning of an HTTP/1 request, however much of it there
// is. Header fields count only if their line is whole. The zero value: no request.
func ParseRequestHead(p []byte) (h RequestHead) {
	p = p[min(proxyHeader(p), len(p)):]
	n, _ := messageStart(Requests, p)
	p = p[n:]
	if !LooksLikeRequest(p) || isPreface(p) {
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
