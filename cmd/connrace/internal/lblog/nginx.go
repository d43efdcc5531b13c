package lblog

import (
	"fmt"
	"strings"
	"time"
)

const nginxTime = "2006/01/02 15:04:05"

// nginxErrorLine parses a line of nginx's error log, which has a line for each try that
// failed (ngx_log_error_core, ngx_http_log_error).
func nginxErrorLine(line string, zone *time.Location) (e *Entry, ok bool) {
	at := nginxErrorStart(line)
	if at < 0 {
		return nil, false
	}
	line = line[at:]
	end, timed := stamp(nginxTime, line[:len(nginxTime)], zone)
	_, message, levelled := strings.Cut(line[len(nginxTime)+2:], "] ")
	if !timed || !levelled {
		return nil, false
	}
	level, _, _ := strings.Cut(line[len(nginxTime)+2:], "]")
	if strings.Trim(level, lower) != "" {
		return nil, false
	}
	text, context, _ := strings.Cut(message, ", client: ")
	if i := strings.Index(text, "*"); i >= 0 && i < 48 { // 10736#10736: *99
		_, text, _ = strings.Cut(text[i:], " ")
	}
	text, quoted, _ := strings.Cut(text, `: "`) // headers, as "upstream sent invalid header" quotes them
	failure, why := nginxSays(text, context)
	if failure == NotFailed || strings.Contains(quoted, `", ignored`) {
		return nil, true
	}
	e = &Entry{
		Kind: NginxError, End: end, Resolution: 1e9, Failure: failure, Says: text, Why: why,
		ErrorLog: true, EachTry: true, Retries: -1,
	}
	e.nginxContext(context)
	return e, true
}

// nginxErrorStart is where the time begins, behind what syslog may have put before it.
func nginxErrorStart(line string) int {
	const most = 160
	for i := 0; i < min(len(line)-len(nginxTime)-2, most); i++ {
		if line[i+4] == '/' && line[i+7] == '/' && line[i+13] == ':' && line[i+16] == ':' &&
			line[i+len(nginxTime)] == ' ' && line[i+len(nginxTime)+1] == '[' {
			return i
		}
	}
	return -1
}

// nginxContext reads what follows a message: client, server, request, upstream, host.
func (e *Entry) nginxContext(s string) {
	e.Client, s, _ = strings.Cut(s, ", ")
	request := quotedValue(s, `request: "`)
	e.request(request)
	upstream := quotedValue(s, `upstream: "`)
	_, rest, ok := strings.Cut(upstream, "://")
	if !ok {
		return
	}
	addr, uri := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 && !strings.HasPrefix(rest, "unix:") {
		addr, uri = rest[:i], rest[i:]
	}
	e.Target, _ = parseEndpoint(addr)
	if uri != e.Path {
		e.Alias = uri
	}
}

// quotedValue is what stands behind a key up to the quote that ends it. nginx does not
// escape quotes here, so the one before the next key is taken.
func quotedValue(s, key string) string {
	_, s, ok := strings.Cut(s, key)
	if !ok {
		return ""
	}
	if i := strings.Index(s, `", `); i >= 0 {
		return s[:i]
	}
	return strings.TrimSuffix(s, `"`)
}

// nginxSays finds out what a message says.
func nginxSays(text, context string) (f Failure, why string) {
	has := func(s string) bool { return strings.Contains(text, s) }
	reset := has("Connection reset by peer") || has("Broken pipe")
	switch {
	case has("no live upstreams"):
		return Local, "nginx had taken all targets out of service for fail_timeout because of failures before; it tried none"
	case has("could not be resolved"):
		return Local, "nginx could not resolve the target's name"
	case has("client prematurely closed connection, so upstream connection is closed too"):
		return ClientGone, ""
	case !has("upstream") && !strings.Contains(context, "upstream: "),
		has("while sending to client"), has("while reading client"), has("while proxying upgraded connection"):
		return NotFailed, ""
	case has("connect() ") && has("failed ("):
		return nginxConnect(text)
	case has("timed out") && has("while connecting to upstream"):
		return ConnectTimeout, ""
	case has("timed out") && has("while SSL handshaking to upstream"):
		return ReadTimeout, "the TLS handshake with the target took too long"
	case has("while SSL handshaking to upstream"), has("SSL_do_handshake() failed"):
		return Closed, "the TLS handshake with the target failed"
	case has("while reading upstream") && (has("prematurely closed connection") || has("timed out") || reset):
		return Truncated, ""
	case has("upstream timed out"):
		return ReadTimeout, ""
	case has("upstream prematurely closed"), reset:
		return Closed, ""
	case has("sent too big header"):
		return BadAnswer, "the target answered; its header is larger than proxy_buffer_size"
	case has("upstream sent"), has("upstream rejected"):
		return BadAnswer, "the target answered, not as nginx understands it"
	}
	return NotFailed, ""
}

// nginxConnect finds out what a failed connect() says by its errno, Linux's or BSD's.
func nginxConnect(text string) (f Failure, why string) {
	_, errno, _ := strings.Cut(text, "failed (")
	errno, says, _ := strings.Cut(errno, ": ")
	unix := strings.Contains(text, "connect() to unix:")
	switch {
	case errno == "11" && unix:
		return Local, "the listen queue of the target's unix socket was full: raise its backlog"
	case errno == "11":
		return Local, "the load balancer's host had no local port left towards this target (EAGAIN)"
	case errno == "99" || strings.HasPrefix(says, "Cannot assign requested address"):
		return Local, "the load balancer's host had used up its local ports towards this target: widen ip_local_port_range, keep connections alive"
	case errno == "2":
		return Local, "the target is down: its unix socket does not exist"
	case errno == "13":
		return Local, "nginx may not open the target's unix socket (permissions)"
	case errno == "23" || errno == "24":
		return Local, "nginx had no file descriptor left: raise worker_rlimit_nofile"
	case unix:
		return Local, "the target is down: nobody listens on its unix socket"
	case strings.HasPrefix(says, "Connection refused"):
		return Refused, "the target is down: nothing listens on its port"
	case strings.Contains(says, "timed out"):
		return ConnectTimeout, ""
	case strings.Contains(says, "unreachable"), strings.HasPrefix(says, "No route to host"):
		return ConnectError, fmt.Sprintf("the load balancer's host found no way to the target (errno %s)", errno)
	}
	return ConnectError, ""
}

const clfTime = "02/Jan/2006:15:04:05 -0700"

// nginxAccessLine parses a line of nginx's access log in its default form, combined, with
// whatever stands before the address and behind the user agent.
func nginxAccessLine(line string, _ *time.Location) (e *Entry, ok bool) {
	e, rest, ok := combinedLine(line)
	if e != nil {
		e.Kind = NginxAccess
		e.extras(rest)
	}
	return e, ok
}

// combinedLine parses a line of the form combined; rest is what stands behind the user agent.
func combinedLine(line string) (e *Entry, tail string, ok bool) {
	open := strings.Index(line, " [")
	if open < 0 || len(line) < open+2+len(clfTime)+2 || open > 512 {
		return nil, "", false
	}
	rest := line[open+2:]
	if rest[2] != '/' || rest[6] != '/' || rest[len(clfTime)] != ']' {
		return nil, "", false
	}
	clock, f := rest[:len(clfTime)], fields{rest: rest[len(clfTime)+1:]}
	if !strings.HasPrefix(f.rest, ` "`) {
		return nil, "", false
	}
	request, _ := f.next()
	code, _ := f.next()
	e = &Entry{Resolution: 1e9, Status: status(code), Cut: f.cut, Retries: -1}
	if e.Status == 0 {
		return nil, "", false
	}
	if e.Status < 499 {
		return nil, "", true
	}
	if e.End, ok = stamp(clfTime, clock, time.UTC); !ok {
		return nil, "", false
	}
	client := strings.Fields(line[:open])
	if n := len(client); n >= 3 {
		e.Client = client[n-3]
	}
	e.request(request)
	e.Failure, e.Says = Unsaid, "status "+code
	if e.Status == 499 {
		e.Failure = ClientGone
	}
	for range 3 { // body_bytes_sent, referer, user agent
		f.next()
	}
	return e, f.rest, true
}

// upstreamStatus takes $upstream_status. 502 and 504 in it may be nginx's own, 500 Traefik's in its OriginStatus.
func (e *Entry) upstreamStatus(s string) {
	n := status(s)
	if e.Kind != HAProxy && n >= 500 && n == e.Status && n != 502 && n != 504 && (n != 500 || e.Kind != TraefikJSON) {
		e.answered(n)
	}
}

// headerTime takes $upstream_header_time: with a time the target has answered.
func (e *Entry) headerTime(s string) {
	if _, ok := parseSeconds(s); ok && e.Kind != HAProxy && e.Status >= 500 {
		e.answered(e.Status)
	}
}

func (e *Entry) answered(n int) {
	e.Failure = TargetStatus
	e.Why = fmt.Sprintf("the target itself answered %d", n)
}
