package lblog

import (
	"fmt"
	"strings"
	"time"
)

// elbLine parses a line of a Classic Load Balancer's access log ("Access logs for your Classic Load Balancer", Elastic
// Load Balancing user guide), whose time is when the request came:
//
//	time elb client:port backend:port request_time backend_time response_time elb_status backend_status received sent "request" "user_agent" cipher protocol
func elbLine(line string, _ *time.Location) (e *Entry, ok bool) {
	if len(line) < 30 || line[4] != '-' || line[10] != 'T' {
		return nil, false
	}
	f := fields{rest: line}
	var v [9]string
	for i := range v {
		if v[i], ok = f.next(); !ok {
			return nil, false
		}
	}
	at, timed := stamp(time.RFC3339Nano, v[0], time.UTC)
	code := status(v[7])
	if !timed || code == 0 || strings.Count(v[2], ":") == 0 || v[8] != "-" && v[8] != "0" && status(v[8]) == 0 {
		return nil, false
	}
	if code < 500 && code != 460 {
		return nil, true
	}
	e = &Entry{
		Kind: ELB, Start: at, End: at, Resolution: 1e3, Failure: Unsaid, Status: code, Client: v[2], Retries: -1,
		Says: fmt.Sprintf("elb_status_code %s, backend_status_code %s, processing times %s %s %s", v[7], v[8], v[4], v[5], v[6]),
	}
	for i, s := range v[4:7] {
		d, timed := parseSeconds(s)
		if !timed { // -1: it never got so far, and nothing says for how long it was tried
			e.Wait = maxWait
			break
		}
		e.End += d
		if i == 0 {
			e.Dispatch = e.End
		}
	}
	e.Target, _ = parseEndpoint(v[3])
	e.NoTarget = v[3] == "-"
	if backend := status(v[8]); backend >= 500 {
		e.answered(backend)
	} else if e.NoTarget {
		e.Why = "the load balancer names no instance: none was healthy, or it could not connect to one"
	}
	f.next() // received
	f.next() // sent
	request, _ := f.next()
	e.request(request)
	e.Cut = e.Cut || f.cut
	return e, true
}
