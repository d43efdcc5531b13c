package detect

// The words of the load balancers' own logs. nginx 1.22, HAProxy 2.6, Apache 2.4 and Go
// were measured against known failures; ALB, Envoy and Traefik are from their
// documentation or source.

// closedLogs: the target closed or reset the connection before an answer.
var closedLogs = []LogLine{
	{"ALB", "502", `elb_status_code 502, target_status_code "-"`, "target_processing_time or response_processing_time is -1; counted in HTTPCode_ELB_502_Count"},
	{"nginx", "502", "upstream prematurely closed connection while reading response header", "a FIN; an RST reads: recv() failed (104: Connection reset by peer) while ..."},
	{"HAProxy", "502", "SH--", "the termination state, for a FIN and an RST alike"},
	{"Envoy", "503", "UC upstream_reset_before_response_started{connection_termination}", "URX as well if its retries were used up"},
	{"Apache", "502", "AH01102: error reading status line from remote server", ""},
	{"Traefik", "502", "EOF", "or \"read: connection reset by peer\"; at level DEBUG; \"http: server closed idle connection\" comes out as 500"},
	{"Go", "502", "http: proxy error: EOF", "or \"http: server closed idle connection\", then often with no request on the wire; idempotent requests on a used connection are repeated in silence"},
	{"Varnish", "503", "FetchError", "in varnishlog; requests without a body are repeated in silence"},
}

// truncatedLogs: the answer broke off.
var truncatedLogs = []LogLine{
	{"nginx", "", "upstream prematurely closed connection while reading upstream", "the client has the target's status and a short body"},
	{"HAProxy", "", "SD--", "the termination state; the client has the target's status"},
	{"Go", "", "httputil: ReverseProxy read error during body copy: unexpected EOF", ""},
}

// earlyLogs: the target answered early and reset the connection.
var earlyLogs = []LogLine{
	{"nginx", "", "readv() failed (104: Connection reset by peer) while reading upstream", "the client still gets the answer; seldom 502 and \"writev() failed (104...) while sending request to upstream\""},
	{"HAProxy", "", "SD--", "the termination state; or nothing"},
}

// resetAfterLogs: an RST behind a complete answer.
var resetAfterLogs = []LogLine{
	{"nginx", "", "readv() failed (104: Connection reset by peer) while reading upstream", "with a good answer; mostly nothing is logged"},
}

// refusedLogs: the target answered the SYN with an RST.
var refusedLogs = []LogLine{
	{"ALB", "502", `elb_status_code 502, target_status_code "-"`, "counted in TargetConnectionErrorCount"},
	{"nginx", "502", "connect() failed (111: Connection refused) while connecting to upstream", ""},
	{"HAProxy", "503", "SC--", "the termination state"},
	{"Envoy", "503", "UF upstream_reset_before_response_started{remote_connection_failure", ""},
	{"Apache", "503", "AH00957: HTTP: attempt to connect to", "with (111)Connection refused; then AH01114: HTTP: failed to make connection to backend"},
	{"Traefik", "502", "connect: connection refused", "at level DEBUG"},
	{"Go", "502", "connect: connection refused", ""},
}

// connectTimeoutLogs: no connection came about in time.
var connectTimeoutLogs = []LogLine{
	{"ALB", "504", `elb_status_code 504, target_status_code "-"`, "after 10 s"},
	{"nginx", "504", "(110: Connection timed out) while connecting to upstream", ""},
	{"HAProxy", "503", "sC--", "the termination state"},
	{"Envoy", "503", "UF", ""},
	{"Apache", "503", "AH00957: HTTP: attempt to connect to", ""},
	{"Traefik", "504", "i/o timeout", "at level DEBUG"},
	{"Go", "502", "i/o timeout", "httputil.ReverseProxy's own handler; others may answer 504"},
}

// readTimeoutLogs: the LB's time for an answer was up.
var readTimeoutLogs = []LogLine{
	{"ALB", "504", `elb_status_code 504, target_status_code "-"`, "after idle_timeout.timeout_seconds"},
	{"nginx", "504", "(110: Connection timed out) while reading response header from upstream", ""},
	{"HAProxy", "504", "sH--", "the termination state"},
	{"Envoy", "504", "UT", ""},
	{"Apache", "502", "AH01102: error reading status line from remote server", "with (70007)The timeout specified has expired"},
	{"Traefik", "504", "timeout awaiting response headers", "at level DEBUG"},
	{"Go", "502", "timeout awaiting response headers", "httputil.ReverseProxy's own handler; others may answer 504"},
}

// clientGoneLogs: the client went away first.
var clientGoneLogs = []LogLine{
	{"ALB", "460", "elb_status_code 460", ""},
	{"nginx", "499", "client prematurely closed connection, so upstream connection is closed too", ""},
	{"HAProxy", "", "CH--", "the termination state; CD-- while the answer was on its way"},
	{"Envoy", "0", "DC", ""},
	{"Traefik", "499", "context canceled", "at level DEBUG"},
	{"Go", "502", "context canceled", ""},
}

// portLogs: no free source port, so nothing is on the wire at all.
var portLogs = []LogLine{
	{"nginx", "502", "failed (99: Cannot assign requested address) while connecting to upstream", "no packet: the load balancer had no free port"},
	{"HAProxy", "", "RC--", "a resource of the load balancer is exhausted; see its error log"},
}

// whoseLimit is how logs tell a load balancer's own time-out from a client that went away.
var whoseLimit = []Knob{
	{"nginx", `grep -E '" (499|504) ' access.log`, "499: its client left; 504: its own limit"},
	{"HAProxy", `grep -E ' (sH|CH)[-A-Z]{2} ' haproxy.log`, "CH: its client left; sH: its own limit"},
	{"ALB", `zgrep -E ' (460|504) ' *.log.gz`, "460: its client left; 504: its own limit"},
	{"AWS ELB", `zgrep -E ' (460|504) ' *.log.gz`, "460: its client left; 504: its own limit"},
	{"Envoy", `grep -E ' (UT|DC) ' access.log`, "DC: its client left; UT: its own limit"},
	{"Apache", "grep AH01102 error.log", "there: its own limit; else its client left"},
	{"Traefik", `grep -E '" (499|504) ' access.log`, "499: its client left; 504: its own limit"},
	{"Caddy", `grep -E '"status":(499|504)' access.log`, "499: its client left; 504: its own limit"},
	{"ingress-nginx", `kubectl logs POD | grep -E '" (499|504) '`, "499: its client left; 504: its own limit"},
	{"GCP", "jsonPayload.statusDetails:(backend_timeout OR client_disconnected_before_any_response)", "in Logs Explorer; backend_timeout: its own limit"},
}
