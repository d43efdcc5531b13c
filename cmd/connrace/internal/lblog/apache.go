package lblog

import (
	"strings"
	"time"

	"connrace/cmd/connrace/internal/text"
)

const apacheTime = "Mon Jan _2 15:04:05.000000 2006"

// apacheErrors are the messages of mod_proxy and mod_proxy_http that tell of a failed try, by what of them does not
// change. What follows one and tells of the same again (AH00898, AH01114) is not among them.
var apacheErrors = []struct {
	id      string
	failure Failure
	why     string
}{
	{"AH01102:", Closed, ""}, // error reading status line from remote server
	{"AH01084:", Closed, ""}, // pass request body failed to
	{"AH01097:", Closed, ""}, // pass request body failed to ... from ...
	{"AH01110:", Truncated, ""},
	{"AH01086:", Truncated, ""},
	{"AH00957:", ConnectError, ""}, // attempt to connect to ... failed
	{"AH01105:", BadAnswer, "the target answered, not as Apache understands HTTP"},
	{"AH01106:", BadAnswer, "the target answered, not as Apache understands HTTP"},
	{"AH10124:", BadAnswer, "the target answered, not as Apache understands HTTP"},
	{"AH00940:", Local, "Apache had taken the target out of service after a failure; it tried none (retry=)"},
	{"AH01170:", Local, "Apache had taken all targets out of service; it tried none"},
	{"AH00036:", Local, "Apache could not resolve the target's name"},
}

// apacheErrorLine parses a line of Apache's error log in its default form, which has no line for a request but one for each
// try of mod_proxy's that failed, with neither method nor path (core, ErrorLogFormat):
//
//	[time] [module:level] [pid P:tid T] (errno)text: [client ip:port] AHnnnnn: message
func apacheErrorLine(line string, zone *time.Location) (e *Entry, ok bool) {
	open := strings.IndexByte(line, '[')
	if open < 0 || open > 160 || len(line) < open+len(apacheTime)+3 || line[open+1+len(apacheTime)] != ']' || line[open+14] != ':' {
		return nil, false
	}
	clock, rest := line[open+1:open+1+len(apacheTime)], line[open+2+len(apacheTime):]
	if !strings.HasPrefix(rest, " [") || !strings.Contains(rest, "] [pid ") {
		return nil, false
	}
	if !strings.HasPrefix(rest, " [proxy") {
		return nil, true
	}
	for _, is := range apacheErrors {
		at := strings.Index(rest, is.id)
		if at < 0 {
			continue
		}
		e = &Entry{Kind: ApacheError, Resolution: 1e3, Failure: is.failure, Why: is.why, ErrorLog: true, EachTry: true, Retries: -1}
		if e.End, ok = stamp(apacheTime, clock, zone); !ok {
			return nil, false
		}
		e.apacheError(rest[:at], rest[at:])
		return e, true
	}
	return nil, true
}

// apacheError reads what stands before a message's number, and the message.
func (e *Entry) apacheError(before, message string) {
	if _, pid, ok := strings.Cut(before, "] [pid "); ok {
		_, before, _ = strings.Cut(pid, "] ")
	}
	if _, client, ok := strings.Cut(before, "[client "); ok {
		e.Client = clientBefore(client[:max(0, strings.IndexByte(client, ']'))])
	}
	errno, _, _ := strings.Cut(before, ": [client")
	message, _, _ = strings.Cut(message, ", referer: ")
	e.Says = strings.TrimSuffix(strings.TrimSpace(errno), ":") + ": " + text.WithoutSecrets(message, false)
	timeout := strings.Contains(errno, "timeout") || strings.Contains(errno, "timed out")
	switch {
	case e.Failure == ConnectError && strings.Contains(errno, "refused"):
		e.Failure, e.Why = Refused, "the target is down: nothing listens on its port"
	case e.Failure == ConnectError && timeout:
		e.Failure = ConnectTimeout
	case e.Failure == Closed && timeout:
		e.Failure = ReadTimeout
	}
	for word := range strings.FieldsSeq(message) {
		if ep, ok := parseEndpoint(strings.Trim(word, "()")); ok {
			e.Target = ep
			break
		}
	}
}

// apacheAccessLine parses a line of Apache's access log in the form combined. Nothing in it tells it from nginx's, whose times
// are when a request was over.
func apacheAccessLine(line string, zone *time.Location) (e *Entry, ok bool) {
	if e, ok = nginxAccessLine(line, zone); e != nil {
		e.ofApache()
	}
	return e, ok
}

func (e *Entry) ofApache() {
	if e.Kind = ApacheAccess; e.Start == 0 {
		e.Start, e.Wait = e.End, maxWait
	}
}
