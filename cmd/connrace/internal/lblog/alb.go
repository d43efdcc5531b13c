package lblog

import (
	"fmt"
	"strings"
	"time"
)

// The fields of an ALB access log in their order ("Access logs for your Application Load
// Balancer", Elastic Load Balancing user guide). The log began with those up to the
// trace id; others were added at the end, and more may be.
const (
	albType = iota
	albTime
	albELB
	albClient
	albTarget
	albRequestTime
	albTargetTime
	albResponseTime
	albStatus
	albTargetStatus
	albReceived
	albSent
	albRequest
	albUserAgent
	albCipher
	albTLS
	albTargetGroup
	albTrace
	albDomain
	albCert
	albPriority
	albCreated
	albActions
	albRedirect
	albErrorReason
	albTargetList
	albTargetStatusList
	albClassification
	albClassificationReason
	albConnTrace
	albFields
)

// albLine parses a line of an ALB access log; ok is false if it is none, e is nil if the
// request did not fail.
func albLine(line string, _ *time.Location) (e *Entry, ok bool) {
	kind, _, _ := strings.Cut(line, " ")
	switch kind {
	case "http", "https", "h2", "grpcs", "ws", "wss":
	default:
		return nil, false
	}
	var v [albFields]string
	f := fields{rest: line}
	n := 0
	for n < albFields {
		s, more := f.next()
		if !more {
			break
		}
		if s == "-" {
			s = ""
		}
		v[n] = s
		n++
		if n == albTargetStatus+1 && !albFailed(v[albStatus]) {
			break
		}
	}
	end, timed := stamp(time.RFC3339Nano, v[albTime], time.UTC)
	if n <= albTargetStatus || !timed {
		return nil, false
	}
	if !albFailed(v[albStatus]) {
		return nil, true
	}
	return albEntry(&v, end), true
}

// albFailed reports whether an elb_status_code is one of a request that failed between
// the load balancer and a target: 5xx, or 460 (the client went away first).
func albFailed(code string) bool { return code == "460" || status(code) >= 500 }

func albEntry(v *[albFields]string, end int64) *Entry {
	e := &Entry{
		Kind: ALB, End: end, Resolution: 1e3, Failure: Unsaid, Status: status(v[albStatus]),
		Client: v[albClient], TraceID: v[albTrace], Retries: -1,
	}
	if len(v[albTime]) <= len("2006-01-02T15:04:05Z") {
		e.Resolution = 1e9
	}
	e.request(v[albRequest])
	e.Target, _ = parseEndpoint(v[albTarget])
	if e.Target == (endpoint{}) {
		e.Target, _ = parseEndpoint(v[albTargetList])
	}
	if e.Target == (endpoint{}) {
		e.NoTarget = true
	}
	if at, ok := stamp(time.RFC3339Nano, v[albCreated], time.UTC); ok && at <= end {
		e.Start = at
		if d, ok := parseSeconds(v[albRequestTime]); ok {
			e.Dispatch = at + d
		}
	}
	e.Says = "elb_status_code " + v[albStatus] + ", target_status_code " + dash(v[albTargetStatus])
	if r := v[albErrorReason]; r != "" {
		e.Says += ", error_reason " + r
	}
	e.albFailure(v)
	return e
}

// albFailure finds out what the fields say of the failure. request_processing_time is -1 where
// the request could not be dispatched: then the target had refused, closed, or not answered the
// handshake. target_processing_time is -1 as well where it was dispatched and no answer began,
// response_processing_time where none came to its end.
func (e *Entry) albFailure(v *[albFields]string) {
	code := status(v[albTargetStatus])
	_, dispatched := parseSeconds(v[albRequestTime])
	_, began := parseSeconds(v[albTargetTime])
	_, ended := parseSeconds(v[albResponseTime])
	switch {
	case e.Status == 460:
		e.Failure = ClientGone
	case code >= 500:
		e.Failure = TargetStatus
		e.Why = fmt.Sprintf("the target itself answered %d (target_status_code)", code)
	case code > 0:
		e.Why = fmt.Sprintf("the target answered %d, which the load balancer did not pass on: its header may be malformed or too large", code)
	case v[albErrorReason] != "":
		e.Why = "the load balancer gives the reason " + v[albErrorReason]
	case strings.Contains(v[albActions], "fixed-response"):
		e.Failure, e.Why = Local, "a fixed-response action of a listener rule"
	case e.NoTarget && e.Status == 503:
		e.Why = "the load balancer had no target to send it to: none registered or none healthy"
	case e.NoTarget:
		e.Why = "the load balancer names no target: it did not get as far as sending the request to one"
	case dispatched && !began && e.Status == 502:
		e.Failure, e.Why = Closed, "the request went to the target, which closed or reset the connection before its answer (target_processing_time -1)"
	case dispatched && !began && e.Status == 504:
		e.Failure, e.Why = ReadTimeout, "the request went to the target, which did not answer in time (target_processing_time -1)"
	case began && !ended && e.Status == 502:
		e.Failure, e.Why = Truncated, "the target's answer began and broke off (response_processing_time -1)"
	case !dispatched && e.Status == 502:
		e.Why = "the request could not be sent: the target refused or reset the connection, or closed it just then (request_processing_time -1)"
	}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
