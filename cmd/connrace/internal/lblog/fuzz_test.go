package lblog

import (
	"bytes"
	"context"
	"testing"
	"time"

	"connrace/detect"
)

// seeds are a failed line of each kind.
var seeds = [nKinds]string{
	ALB:          `http 2026-11-20T12:00:00.186641Z app/lb/1 192.168.131.39:2817 10.0.0.5:80 -1 -1 -1 502 - 34 366 "GET http://h:80/ HTTP/1.1" "-" - - arn:x "Root=1-5c6a1234-000000000000000000000001"`,
	ELB:          `2026-11-20T12:00:00.186641Z lb 192.168.131.39:2817 10.0.0.5:80 -1 -1 -1 504 0 0 0 "GET http://h:80/a HTTP/1.1" "-" - -`,
	NginxError:   `2026/11/20 12:00:00 [error] 1#1: *2 upstream prematurely closed connection, client: 1.2.3.4, server: , request: "GET /a HTTP/1.1", upstream: "http://10.0.0.5:80/a"`,
	IngressNginx: `1.2.3.4 - - [20/Nov/2026:12:00:00 +0000] "GET /a HTTP/1.1" 502 157 "-" "-" 193 0.010 [a] [] 10.0.0.4:80, 10.0.0.5:80 0, 0 0.000, 0.001 502, 502 2553c7900f0b`,
	ApacheError:  `[Fri Nov 20 12:00:00.439781 2026] [proxy_http:error] [pid 1:tid 2] (104)Connection reset by peer: [client 1.2.3.4:5] AH01102: error reading status line from remote server 10.0.0.5:80`,
	Traefik:      `1.2.3.4 - - [20/Nov/2026:12:00:00 +0000] "GET /a HTTP/1.1" 502 11 "-" "-" 2 "r@x" "http://10.0.0.5:80" 12ms`,
	NginxAccess:  `1.2.3.4 - - [20/Nov/2026:12:00:00 +0000] "GET /a HTTP/1.1" 502 157 "-" "-" ua="10.0.0.5:80" us="502" bi=1 bp=2`,
	ApacheAccess: `1.2.3.4 - - [20/Nov/2026:12:00:00 +0000] "GET /a HTTP/1.1" 502 157 "-" "-"`,
	HAProxy:      `10.9.9.9:1 [20/Nov/2026:12:00:00.000] f b/s 0/0/0/-1/1 502 209 - - SH-- 1/1/0/0/0 0/0 {a|b} "GET /a HTTP/1.1" 10.0.0.1:40001`,
	Envoy:        `[2026-11-20T12:00:00.000Z] "GET /a HTTP/1.1" 503 UC upstream_reset - "-" 0 95 3 - "-" "-" "0123456789" "h" "10.0.0.5:80" o 10.0.0.1:40001`,
	EnvoyJSON:    `{"start_time":"2026-11-20T12:00:00.000Z","method":"GET","path":"/a","response_code":503,"response_flags":"UF","response_code_details":"{delayed_connect_error:_111}","duration":3,"upstream_host":"10.0.0.5:80"}`,
	TraefikJSON:  `{"DownstreamStatus":502,"Duration":1502000,"RequestMethod":"GET","RequestPath":"/a","ServiceAddr":"10.0.0.5:80","StartUTC":"2026-11-20T12:00:00Z"}`,
	HAProxyJSON:  `{"time":"20/Nov/2026:12:00:00 +0000","timers":"0/0/0/-1/12","status":502,"termination_state":"SH","method":"GET","uri":"/a","src":"10.0.0.1:40001"}`,
	NginxJSON:    `{"msec":"1795176000.25","method":"GET","uri":"/a","status":502,"request_time":0.010,"upstream_addr":"10.0.0.5:80"}`,
	Caddy:        `{"ts":1795176000.2,"logger":"http.log.error","msg":"read tcp 10.0.0.1:40001->10.0.0.5:80: read: connection reset by peer","request":{"method":"GET","uri":"/a"},"duration":1e-3,"status":502}`,
	GCP:          `{"httpRequest":{"latency":"0.012346s","requestMethod":"GET","requestUrl":"https://h/a","status":502},"jsonPayload":{"statusDetails":"backend_timeout"},"timestamp":"2026-11-20T12:00:00Z"}`,
	JSON:         `{"timestamp":"2026-11-20T12:00:00Z","request":"GET \u002fa HTTP/1.1","status":502,"ids":[["x-id",null,{"request_id":"0123456789"}]]}`,
}

// FuzzLog: no log makes the joiner panic, and its figures always add up.
func FuzzLog(f *testing.F) {
	for k, s := range seeds[1:] {
		if e, ok := kinds[k+1].parse(s, time.UTC); !ok || e == nil || e.Start == 0 && e.End == 0 {
			f.Errorf("%s: no failed line of it: %s", Kind(k+1), s)
		}
		f.Add([]byte(s + "\n" + s + "\n"))
	}
	capture := around(
		try1(1, detect.FINRequestCrossing, noon, "/a", "Root=1-5c6a1234-000000000000000000000001"), try1(2, detect.SYNDropped, noon, "", ""),
		try1(3, detect.LBClosedWithRequestOutstanding, noon, "/a", ""),
	)
	f.Fuzz(func(t *testing.T, log []byte) {
		for k := range nKinds {
			j := NewJoiner(capture, k, time.UTC)
			if err := j.Read(context.Background(), "x", bytes.NewReader(log)); err != nil {
				continue
			}
			o := j.Finish()
			if o.Failed != o.Explained+len(o.Unexplained)+o.OutsideCapture+o.Omitted {
				t.Fatalf("%+v", o)
			}
		}
	})
}
