package lblog

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const haproxyTime = "02/Jan/2006:15:04:05.000"

// haproxyLine parses a line of HAProxy's HTTP log, behind whatever syslog has put before it (HAProxy configuration manual,
// 8.2.3 and 8.5). Of a format of one's own it takes the same: what the default has up to the termination state must be
// there in this order, of which it knows backend and server, timers, status and the termination state by their form; more may
// stand between, and "key=" before each.
//
//	ci:cp [tr] frontend backend/server TR/Tw/Tc/Tr/Ta status bytes CC CS tsc conns queues {..} "request"
func haproxyLine(line string, zone *time.Location) (e *Entry, ok bool) {
	open := strings.Index(line, " [")
	for open >= 0 && !haproxyClock(line[open+2:]) { // syslog's haproxy[123]: has none before it
		next := strings.Index(line[open+2:], " [")
		if next < 0 || open > 512 {
			return nil, false
		}
		open += 2 + next
	}
	if open < 0 {
		return nil, false
	}
	clock := line[open+2 : open+2+len(haproxyTime)]
	f := fields{rest: line[open+len(haproxyTime)+3:]}
	var server, timers, code, term string
	start := f.rest
	for n := 0; term == ""; n++ {
		s, more := f.next()
		if !more || n == 32 {
			return nil, false
		}
		s = s[strings.IndexByte(s, '=')+1:]
		switch slashes := strings.Count(s, "/"); {
		case timers == "" && slashes == 1 && !f.quotes:
			server = s
		case timers == "" && server != "" && slashes == 4 && strings.Trim(s, "0123456789/+-") == "":
			timers = s
		case timers != "" && code == "":
			if code = s; status(code) == 0 && code != "-1" && code != "0" {
				return nil, false
			}
		case code != "" && (len(s) == 4 || len(s) == 2) && strings.IndexByte("CSPLRIDUKcs-", s[0]) >= 0 && strings.IndexByte("RQCHDLT-", s[1]) >= 0:
			term = s
		}
	}
	_, name, _ := strings.Cut(server, "/")
	e = &Entry{Kind: HAProxy, Resolution: 1e6, Status: status(code), Retries: -1}
	e.haproxyFailure(term, timers, name)
	if e.Failure == NotFailed {
		return nil, true
	}
	if e.Start, ok = stamp(haproxyTime, clock, zone); !ok {
		return nil, false
	}
	e.haproxyTimers(timers)
	e.Client = clientBefore(line[:open])
	e.Target, _ = parseEndpoint(name)
	e.Says += fmt.Sprintf(", timers %s, server %s", timers, server)
	before, _, _ := strings.Cut(start, " "+server)
	if conns, rest, _ := strings.Cut(strings.TrimLeft(f.rest, " "), " "); strings.Count(conns, "/") == 4 {
		e.Retries, _ = strconv.Atoi(strings.TrimPrefix(conns[strings.LastIndexByte(conns, '/')+1:], "+"))
		e.Retries = max(e.Retries, 0)
		f.rest = rest
	}
	e.haproxyRest(&f, line[:max(0, strings.LastIndexByte(line[:open], ' '))]+before)
	return e, true
}

func haproxyClock(s string) bool {
	return len(s) > len(haproxyTime) && s[2] == '/' && s[6] == '/' && s[11] == ':' && s[20] == '.' && s[len(haproxyTime)] == ']'
}

// clientBefore is the client's address, the last word before the time.
func clientBefore(s string) string {
	s = s[strings.LastIndexByte(s, ' ')+1:]
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		return s[:i]
	}
	return s
}

// haproxyRest reads captured headers, the request, and what somebody logs besides, behind it or before the client. The
// request may be in two fields, %HM and %HU.
func (e *Entry) haproxyRest(f *fields, before string) {
	quote := strings.IndexByte(f.rest, '"')
	if quote < 0 {
		e.extras(f.rest)
		return
	}
	headers := f.rest[:quote]
	f.rest = f.rest[quote:]
	request, _ := f.next()
	if !strings.Contains(request, " ") && strings.HasPrefix(f.rest, ` "/`) {
		e.Method = request
		e.Path, _ = f.next()
	} else {
		e.request(request)
	}
	e.Cut = e.Cut || f.cut
	e.extras(headers)
	e.extras(f.rest)
	e.extras(before)
}

// haproxyTimers makes times of the timers TR/Tw/Tc/Tr/Ta (8.4): the request was there at
// TR, left the queue Tw later, and the last byte was sent Ta after the first came.
func (e *Entry) haproxyTimers(timers string) {
	var t [5]int64
	for i, s := range strings.SplitN(timers, "/", len(t)+1) {
		if i == len(t) {
			t = [5]int64{-1, -1, -1, -1, -1} // they are others
			break
		}
		n, err := strconv.ParseInt(strings.TrimPrefix(s, "+"), 10, 64)
		if err != nil || n > 1e10 || n < -1 {
			n = -1
		}
		t[i] = n * 1e6
	}
	e.End = e.Start + max(t[4], 0)
	if t[0] >= 0 && t[1] >= 0 {
		e.Dispatch = e.Start + t[0] + t[1]
		e.Connect = max(t[2], 0)
	}
}

// What the first two letters of a termination state say (8.5).
var (
	haproxyCauses = map[byte]string{
		'C': "the client went away", 'c': "the client took too long", 'S': "the server closed, reset or refused", 's': "the server took too long",
		'P': "HAProxy gave up: by a limit, a rule or a bad answer", 'L': "HAProxy answered by itself", 'R': "HAProxy had run out of something",
		'I': "an error inside HAProxy", 'D': "the server was set down", 'U': "a better server came up", 'K': "killed by an administrator",
	}
	haproxyPhases = map[byte]string{
		'R': "before the whole request had come", 'Q': "in the queue", 'C': "while the connection to the server was made",
		'H': "before the server's whole header had come", 'D': "while data were sent", 'L': "while the last data were sent to the client", 'T': "in the tarpit",
	}
)

// haproxyFailure reads the termination state (8.5): what ended the session, and in which
// phase of it.
func (e *Entry) haproxyFailure(term, timers, server string) {
	cause, phase := term[0], term[1]
	answered := !strings.Contains(timers, "/-1/") // Tr
	if parts := strings.Split(timers, "/"); len(parts) == 5 {
		answered = !strings.HasPrefix(parts[3], "-")
	}
	set := func(f Failure, why string) { e.Failure, e.Why = f, why }
	e.Says = "termination state " + term
	if who, when := haproxyCauses[cause], haproxyPhases[phase]; who != "" && when != "" {
		e.Says += " (" + who + ", " + when + ")"
	}
	switch {
	case server == "<NOSRV>" && e.Status >= 500:
		set(Local, "HAProxy had no server to send it to (<NOSRV>)")
	case cause == 'S' && phase == 'C':
		set(ConnectError, "")
	case cause == 's' && phase == 'C':
		set(ConnectTimeout, "")
	case cause == 's' && phase == 'Q':
		set(Local, "no server had room for it before timeout queue was over")
	case cause == 'S' && phase == 'Q':
		set(Local, "the queue was full")
	case cause == 'S' && phase == 'H':
		set(Closed, "")
	case cause == 's' && phase == 'H':
		set(ReadTimeout, "")
	case cause == 'S' && (phase == 'D' || phase == 'L'), cause == 's' && phase == 'D':
		set(Truncated, "")
	case cause == 'C' && (phase == 'C' || phase == 'H' || phase == 'Q'):
		set(ClientGone, "")
	case cause == 'P' && phase == 'H':
		set(BadAnswer, "the target answered, not as HAProxy understands HTTP, or not as its rules allow")
	case e.Status < 500:
		set(NotFailed, "")
	case cause == '-' && answered:
		e.answered(e.Status)
	case cause == 'R':
		set(Local, "HAProxy had run out of something (memory, sockets, local ports): see its own messages")
	case cause == 'D' || cause == 'U' || cause == 'K':
		set(Unsaid, "HAProxy ended the connection itself (server set down, or killed)")
	case cause == 'P' || cause == 'L':
		set(Local, "HAProxy answered by itself, by a rule")
	case cause == 'I':
		set(Local, "an internal error of HAProxy")
	default:
		set(Unsaid, "")
	}
}
