package lblog

import (
	"strconv"
	"strings"
	"time"
)

// envoyLine parses a line of Envoy's default access log or of Istio's, and of formats that begin and go on as they do
// (Envoy, "Access logging"; Istio, EnvoyTextLogFormat). Istio has more between the flags and the octets:
//
//	[START_TIME] "METHOD PATH PROTOCOL" CODE FLAGS received sent DURATION service-time "xff" "ua" "id" "authority" "UPSTREAM_HOST" ...
//	[START_TIME] "METHOD PATH PROTOCOL" CODE FLAGS DETAILS termination "REASON" received sent DURATION ...
func envoyLine(line string, _ *time.Location) (e *Entry, ok bool) {
	open := strings.IndexByte(line, '[')
	if open < 0 || open > 160 {
		return nil, false
	}
	clock, rest, closed := strings.Cut(line[open+1:], `] "`)
	if !closed || len(clock) > len(time.RFC3339Nano) || len(clock) < 20 || clock[10] != 'T' {
		return nil, false
	}
	f := fields{rest: `"` + rest}
	request, _ := f.next()
	code, _ := f.next()
	flags, more := f.next()
	if !more || flags != "-" && strings.Trim(flags, "ABCDEFGHIJKLMNOPQRSTUVWXYZ,") != "" {
		return nil, false
	}
	e = &Entry{Kind: Envoy, Resolution: 1e6, Status: status(code), Cut: f.cut, Retries: -1}
	if e.Status == 0 && code != "0" {
		return nil, false
	}
	if e.Status < 500 && flags == "-" {
		return nil, true
	}
	if e.Start, ok = stamp(time.RFC3339Nano, clock, time.UTC); !ok {
		return nil, false
	}
	e.request(request)
	var says envoyWords
	says.flags = flags
	numbers := 0
	for numbers < 3 { // received, sent, DURATION
		s, more := f.next()
		n, err := strconv.ParseInt(s, 10, 64)
		switch {
		case !more:
			return nil, false
		case err == nil && n >= 0 && n < 1e10:
			numbers++
			e.End = e.Start + n*1e6
			continue
		case f.quotes:
			says.reason = s
		case says.details == "":
			says.details = s
		}
		numbers = 0
	}
	service, _ := f.next()
	_, says.answered = parseSeconds(service)
	for f.peek() == '"' {
		s, _ := f.next()
		if ep, ok := parseEndpoint(strings.TrimPrefix(s, "tcp://")); ok {
			e.Target = ep
		} else if len(s) >= minID && !strings.Contains(s, " ") && len(e.Words) < maxWords {
			e.Words = append(e.Words, s)
		}
	}
	e.extras(f.rest)
	e.envoyFailure(says)
	if e.Failure == NotFailed {
		return nil, true
	}
	return e, true
}

// envoyWords are what Envoy says of a failure.
type envoyWords struct {
	flags, details, reason string // RESPONSE_FLAGS, RESPONSE_CODE_DETAILS, UPSTREAM_TRANSPORT_FAILURE_REASON
	answered               bool   // the target's answer began: x-envoy-upstream-service-time
}

// envoyFlags are Envoy's response flags ("Access logging", RESPONSE_FLAGS).
var envoyFlags = map[string]struct {
	failure Failure
	words   string
}{
	"UH":    {Local, "no healthy upstream host"},
	"UF":    {ConnectError, "upstream connection failure"},
	"UO":    {Local, "upstream overflow: a circuit breaker was open"},
	"NR":    {Local, "no route configured"},
	"NC":    {Local, "upstream cluster not found"},
	"URX":   {Unsaid, "retries, or attempts to connect, used up"},
	"DT":    {Unsaid, "the connection or the request went on for too long"},
	"DC":    {ClientGone, "downstream connection termination: the client went away"},
	"DR":    {ClientGone, "downstream remote reset: the client went away"},
	"LH":    {Local, "local service failed its health check"},
	"UT":    {ReadTimeout, "upstream request timeout"},
	"LR":    {Unsaid, "connection local reset"},
	"UR":    {Closed, "upstream remote reset"},
	"UC":    {Closed, "upstream connection termination"},
	"DI":    {NotFailed, "delay injected"},
	"FI":    {Local, "abort injected"},
	"RL":    {Local, "rate limited"},
	"UAEX":  {Local, "denied by the external authorization service"},
	"RLSE":  {Local, "error in the rate limit service"},
	"IH":    {Local, "invalid value of a header that is checked"},
	"SI":    {ReadTimeout, "stream idle timeout"},
	"DPE":   {Local, "downstream protocol error: the client's"},
	"UPE":   {BadAnswer, "upstream protocol error"},
	"UMSDR": {ReadTimeout, "upstream maximum stream duration reached"},
	"RFCF":  {NotFailed, "answered from the cache"},
	"NFCF":  {Local, "no configuration of a filter"},
	"OM":    {Local, "the overload manager ended it"},
	"DF":    {Local, "the target's name could not be resolved"},
	"DO":    {Local, "dropped: the cluster's drop_overload"},
	"UDO":   {Local, "dropped: the cluster's drop_overload"},
}

// envoyFailure finds out what Envoy says of a failure: the flags say of what kind it is, the details may be more particular.
func (e *Entry) envoyFailure(w envoyWords) {
	e.Says = "no response flag"
	if w.flags != "-" && w.flags != "" {
		e.Says = "response flags " + w.flags
		var words []string
		for flag := range strings.SplitSeq(w.flags, ",") {
			is, known := envoyFlags[flag]
			if !known {
				continue
			}
			words = append(words, is.words)
			if e.Failure == NotFailed || e.Failure == Unsaid {
				e.Failure = is.failure
			}
		}
		if len(words) > 0 {
			e.Says += " (" + strings.Join(words, "; ") + ")"
		}
	}
	has := func(s string) bool { return strings.Contains(w.details, s) || strings.Contains(w.reason, s) }
	if w.details != "" && w.details != "-" {
		e.Says += ", details " + w.details
	}
	if w.reason != "" && w.reason != "-" {
		e.Says += ", reason " + w.reason
	}
	switch {
	case e.Failure == Local && e.Status < 500 && e.Status != 0:
		e.Failure = NotFailed // the client's fault, or a rule's wish
	case e.Failure == Local:
		e.Why = "the load balancer did not try a target (" + w.flags + ": " + envoyFlags[firstOf(w.flags)].words + ")"
	case e.Failure == ConnectError && (has("onnect_error:_111") || has("onnect error: 111")):
		e.Failure, e.Why = Refused, "the target is down: nothing listens on its port"
	case e.Failure == ConnectError && (has("timeout") || has("onnect_error:_110") || has("onnect error: 110")):
		e.Failure = ConnectTimeout
	case e.Failure == ConnectError && (has("TLS") || has("tls")):
		e.Failure, e.Why = Closed, "the TLS handshake with the target failed"
	case e.Failure == Closed && (has("after_response_started") || w.answered && e.Status < 500):
		e.Failure = Truncated
	case e.Failure == BadAnswer:
		e.Why = "the target answered, not as Envoy understands HTTP"
	case e.Failure == Unsaid && has("connection_termination"):
		e.Failure = Closed
	case (e.Failure == NotFailed || e.Failure == Unsaid) && e.Status >= 500 && (w.details == "via_upstream" || w.answered):
		e.answered(e.Status)
	case e.Failure == NotFailed && e.Status >= 500:
		e.Failure = Unsaid
	}
}

func firstOf(list string) string {
	first, _, _ := strings.Cut(list, ",")
	return first
}
