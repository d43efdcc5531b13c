package lblog

import (
	"testing"
	"time"
)

// parsed is a line and what is to be read of it.
type parsed struct{ line, want string }

func expect(t *testing.T, k Kind, zone *time.Location, lines []parsed) {
	t.Helper()
	for _, c := range lines {
		if got := show(kinds[k].parse(c.line, zone)); got != c.want {
			t.Errorf("%s: %.200s\n got %s\nwant %s", k, c.line, got, c.want)
			continue
		}
		if c.want == "no line of it" {
			continue
		}
		f := File{}
		if f.parse(c.line, zone); f.Kind != k && k != ApacheAccess {
			t.Errorf("%.200s\nis taken for %s, not %s", c.line, f.Kind, k)
		}
	}
}

// The successful lines are the examples of Envoy's and Istio's documentation; the failed ones are made after them, with the flags and
// details that it names.
func TestEnvoy(t *testing.T) {
	const tail = `"10.0.35.28" "nsq2http" "cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2" "locations" "tcp://10.0.2.1:80"`
	const istio = `"-" "curl/7.73.0-DEV" "84961386-6d84-929d-98bd-c5aee93b5c88" "httpbin:8000" "10.44.1.27:80" outbound|8000||httpbin.foo.svc.cluster.local 10.44.1.23:37652 10.0.45.184:8000 10.44.1.23:46520 - default`
	const ends = ` end 10.44.1.23:37652 end 10.0.45.184:8000 end 10.44.1.23:46520`
	expect(t, Envoy, time.UTC, []parsed{
		{`[2016-04-15T20:17:00.310Z] "POST /api/v1/locations HTTP/2" 204 - 154 0 226 100 ` + tail, "not failed"},
		{`[2016-04-15T20:17:00.310Z] "POST /api/v1/locations HTTP/2" 503 UC 154 95 226 - ` + tail, "20:17:00.310000-20:17:00.536000 closed 503 POST /api/v1/locations target 10.0.2.1:80"},
		{`[2016-04-15T20:17:00.310Z] "POST /api/v1/locations HTTP/2" 503 UF,URX 154 95 3 - ` + tail, "20:17:00.310000-20:17:00.313000 connect-error 503 POST /api/v1/locations target 10.0.2.1:80"},
		{`[2016-04-15T20:17:00.310Z] "GET /a?b=c HTTP/1.1" 503 UH 0 19 0 - "-" "curl" "cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2" "locations" "-"`, "20:17:00.310000-20:17:00.310000 local 503 GET /a?b=c"},
		{`[2016-04-15T20:17:00.310Z] "GET /a HTTP/1.1" 503 - 0 19 7 6 ` + tail, "20:17:00.310000-20:17:00.317000 target-status 503 GET /a target 10.0.2.1:80"},
		{`[2016-04-15T20:17:00.310Z] "GET /a HTTP/1.1" 504 UT 0 24 15000 - ` + tail, "20:17:00.310000-20:17:15.310000 read-timeout 504 GET /a target 10.0.2.1:80"},
		{`[2016-04-15T20:17:00.310Z] "GET /a HTTP/1.1" 0 DC 0 0 300 - ` + tail, "20:17:00.310000-20:17:00.610000 client-gone 0 GET /a target 10.0.2.1:80"},
		{`[2016-04-15T20:17:00.310Z] "GET /a HTTP/1.1" 200 UC 0 1000 300 2 ` + tail, "20:17:00.310000-20:17:00.610000 truncated 200 GET /a target 10.0.2.1:80"},
		{`[2016-04-15T20:17:00.310Z] "GET /a HTTP/1.1" 404 NR 0 0 0 - ` + tail, "not failed"},
		{`[2016-04-15T20:17:00.310Z] "GET /a HTTP/1.1" 502 UPE 0 87 4 - ` + tail, "20:17:00.310000-20:17:00.314000 bad-answer 502 GET /a target 10.0.2.1:80"},
		// Istio's.
		{`[2020-11-25T21:26:18.409Z] "GET /status/418 HTTP/1.1" 418 - via_upstream - "-" 0 135 3 1 ` + istio, "not failed"},
		{`[2020-11-25T21:26:18.409Z] "GET /status/503 HTTP/1.1" 503 - via_upstream - "-" 0 0 3 1 ` + istio, "21:26:18.409000-21:26:18.412000 target-status 503 GET /status/503 target 10.44.1.27:80" + ends},
		{`[2020-11-25T21:26:18.409Z] "GET /x HTTP/1.1" 503 UC upstream_reset_before_response_started{connection_termination} - "-" 0 95 3 - ` + istio, "21:26:18.409000-21:26:18.412000 closed 503 GET /x target 10.44.1.27:80" + ends},
		{`[2020-11-25T21:26:18.409Z] "GET /x HTTP/1.1" 503 UF,URX upstream_reset_before_response_started{remote_connection_failure,delayed_connect_error:_111} - "delayed_connect_error:_111" 0 152 30 - ` + istio, "21:26:18.409000-21:26:18.439000 refused 503 GET /x target 10.44.1.27:80" + ends},
		{`[2020-11-25T21:26:18.409Z] "GET /x HTTP/1.1" 503 UF upstream_reset_before_response_started{connection_timeout} - "-" 0 152 1000 - ` + istio, "21:26:18.409000-21:26:19.409000 connect-timeout 503 GET /x target 10.44.1.27:80" + ends},
		{`[2020-11-25T21:26:18.409Z] "GET /x HTTP/1.1" 503 UF upstream_reset_before_response_started{connection_failure,TLS_error:_268435703:SSL} - "TLS error: 268435703:SSL routines" 0 152 10 - ` + istio, "21:26:18.409000-21:26:18.419000 closed 503 GET /x target 10.44.1.27:80" + ends},
		{`[2020-11-25T21:26:18.409Z] "- - -" 0 UF,URX - - "delayed connect error: 111" 0 0 2 - "-" "-" "-" "-" "10.44.1.27:80" outbound|80||x - 10.0.45.184:8000 10.44.1.23:46520 - -`, "21:26:18.409000-21:26:18.411000 refused 0 - - target 10.44.1.27:80 end 10.0.45.184:8000 end 10.44.1.23:46520"},
		// Behind what a container's runtime writes.
		{`2020-11-25T21:26:18.500000001Z stdout F [2020-11-25T21:26:18.409Z] "GET /x HTTP/1.1" 503 UC upstream_reset_before_response_started{connection_termination} - "-" 0 95 3 - ` + istio, "21:26:18.409000-21:26:18.412000 closed 503 GET /x target 10.44.1.27:80" + ends},
		{`[2016-04-15T20:17:00.310Z] "GET /a HTTP/1.1" 503 UC 0`, "no line of it"},
		{`[2016-04-15T20:17:00.310Z] "GET /a HTTP/1.1" 503`, "no line of it"},
		{`[2016-04-15 20:17:00.310][1][info] "x`, "no line of it"},
		{"[", "no line of it"},
		{"", "no line of it"},
	})
	expect(t, EnvoyJSON, time.UTC, []parsed{
		{
			`{"start_time":"2020-11-25T21:26:18.409Z","method":"GET","path":"/x?y=1","protocol":"HTTP/1.1","response_code":503,"response_flags":"UC","response_code_details":"upstream_reset_before_response_started{connection_termination}","connection_termination_details":null,"upstream_transport_failure_reason":null,"bytes_received":0,"bytes_sent":95,"duration":3,"upstream_service_time":null,"x_forwarded_for":null,"user_agent":"curl","request_id":"84961386-6d84-929d-98bd-c5aee93b5c88","authority":"httpbin:8000","upstream_host":"10.44.1.27:80","upstream_cluster":"outbound|8000||httpbin","upstream_local_address":"10.44.1.23:37652","downstream_local_address":"10.0.45.184:8000","downstream_remote_address":"10.44.1.23:46520","requested_server_name":null,"route_name":"default"}`,
			"21:26:18.409000-21:26:18.412000 closed 503 GET /x?y=1 target 10.44.1.27:80 end 10.44.1.23:37652 end 10.0.45.184:8000",
		},
		{`{":authority":"a","bytes_received":0,"duration":12,"method":"GET","response_code":200,"response_flags":"-","start_time":"2020-11-25T21:26:18.409Z","x-envoy-origin-path":"/x"}`, "not failed"},
		{`{"duration":12,"method":"GET","response_code":503,"response_flags":"-","response_code_details":"via_upstream","start_time":"2020-11-25T21:26:18.409Z","x-envoy-origin-path":"/x","upstream_host":"[fd00::2]:80"}`, "21:26:18.409000-21:26:18.421000 target-status 503 GET /x target [fd00::2]:80"},
	})
}

// The form is that of Traefik's documentation ("Access Logs"): CLF and what Traefik adds, and the fields that it names.
func TestTraefik(t *testing.T) {
	expect(t, Traefik, time.UTC, []parsed{
		{`10.1.2.3 - - [20/Nov/2026:19:38:48 +0000] "GET /x HTTP/1.1" 200 20 "-" "curl/8" 1 "web@docker" "http://10.0.0.2:8080" 12ms`, "not failed"},
		{`10.1.2.3 - - [20/Nov/2026:19:38:48 +0000] "GET /x HTTP/1.1" 502 11 "-" "-" 2 "web@docker" "http://10.0.0.2:8080" 1502ms`, "19:38:48.000000-19:38:49.502000 unsaid 502 GET /x target 10.0.0.2:8080"},
		{`10.1.2.3 - - [20/Nov/2026:19:38:48 +0000] "GET /x HTTP/1.1" 503 20 "-" "-" 2 "web@docker" "-" 0ms`, "19:38:48.000000-19:38:48.000000 unsaid 503 GET /x"},
		{`10.1.2.3 - - [20/Nov/2026:19:38:48 +0000] "GET /x HTTP/1.1" 499 21 "-" "-" 2 "web@docker" "http://10.0.0.2:8080" 300ms`, "19:38:48.000000-19:38:48.300000 client-gone 499 GET /x target 10.0.0.2:8080"},
		{`10.1.2.3 - - [20/Nov/2026:19:38:48 +0000] "GET /x HTTP/1.1" 502 11 "-" "a "b c" 2 "web@docker" "http://10.0.0.2:8080" 0ms`, "19:38:48.000000-19:38:48.000000 unsaid 502 GET /x target 10.0.0.2:8080"},
		{"ms", "no line of it"},
		{`"ms`, "no line of it"},
		{"", "no line of it"},
	})
	const line = `{"ClientAddr":"10.1.2.3:45678","ClientHost":"10.1.2.3","ClientPort":"45678","ClientUsername":"-","DownstreamContentSize":11,"DownstreamStatus":502,"Duration":1502000,"OriginContentSize":11,"OriginDuration":1400000,"OriginStatus":502,"Overhead":102000,"RequestAddr":"x.org","RequestContentSize":0,"RequestCount":2,"RequestHost":"x.org","RequestMethod":"GET","RequestPath":"/x?y=1","RequestPort":"-","RequestProtocol":"HTTP/1.1","RequestScheme":"http","RetryAttempts":1,"RouterName":"web@docker","ServiceAddr":"10.0.0.2:8080","ServiceName":"web@docker","ServiceURL":"http://10.0.0.2:8080","StartLocal":"2026-11-20T20:38:48.25+01:00","StartUTC":"2026-11-20T19:38:48.250000001Z","entryPointName":"web","level":"info","msg":"","request_X-Amzn-Trace-Id":"Root=1-5c6a1234-000000000000000000000007","time":"2026-11-20T19:38:48Z"}`
	expect(t, TraefikJSON, time.UTC, []parsed{
		{line, "19:38:48.250000-19:38:48.251502 unsaid 502 GET /x?y=1 target 10.0.0.2:8080 retries 1"},
		{`{"DownstreamStatus":200,"Duration":1502000,"RequestMethod":"GET","RequestPath":"/x","StartUTC":"2026-11-20T19:38:48.25Z"}`, "not failed"},
		{`{"DownstreamStatus":503,"OriginStatus":503,"Duration":1502000,"RequestMethod":"GET","RequestPath":"/x","ServiceAddr":"10.0.0.2:8080","StartUTC":"2026-11-20T19:38:48.25Z"}`, "19:38:48.250000-19:38:48.251502 target-status 503 GET /x target 10.0.0.2:8080"},
	})
}

// The lines were written by Traefik 3.7.13's own access log (pkg/middlewares/accesslog) before a reverse proxy with its
// error handler (pkg/proxy/httputil), in this order, of targets that answered, answered 503, closed, reset, did not answer
// within the second allowed, refused, were given up by the client, and of no router.
func TestTraefikItself(t *testing.T) {
	expect(t, Traefik, time.UTC, []parsed{
		{`127.0.0.1 - - [30/Nov/2026:13:14:30 +0000] "GET /ok?q=1 HTTP/1.1" 200 2 "-" "-" 1 "app@file" "http://127.0.0.1:43307" 0ms`, "not failed"},
		{`127.0.0.1 - - [30/Nov/2026:13:14:30 +0000] "GET /5xx?q=1 HTTP/1.1" 503 2 "-" "-" 2 "app@file" "http://127.0.0.1:37731" 1ms`, "13:14:30.000000-13:14:30.001000 unsaid 503 GET /5xx?q=1 target 127.0.0.1:37731"},
		{`127.0.0.1 - - [30/Nov/2026:13:14:30 +0000] "GET /close?q=1 HTTP/1.1" 502 11 "-" "-" 3 "app@file" "http://127.0.0.1:34853" 0ms`, "13:14:30.000000-13:14:30.000000 unsaid 502 GET /close?q=1 target 127.0.0.1:34853"},
		{`127.0.0.1 - - [30/Nov/2026:13:14:30 +0000] "GET /reset?q=1 HTTP/1.1" 502 11 "-" "-" 4 "app@file" "http://127.0.0.1:36383" 0ms`, "13:14:30.000000-13:14:30.000000 unsaid 502 GET /reset?q=1 target 127.0.0.1:36383"},
		{`127.0.0.1 - - [30/Nov/2026:13:14:30 +0000] "GET /slow?q=1 HTTP/1.1" 504 15 "-" "-" 5 "app@file" "http://127.0.0.1:46385" 1005ms`, "13:14:30.000000-13:14:31.005000 unsaid 504 GET /slow?q=1 target 127.0.0.1:46385"},
		{`127.0.0.1 - - [30/Nov/2026:13:14:31 +0000] "GET /refused?q=1 HTTP/1.1" 502 11 "-" "-" 8 "app@file" "http://127.0.0.1:35923" 0ms`, "13:14:31.000000-13:14:31.000000 unsaid 502 GET /refused?q=1 target 127.0.0.1:35923"},
		{`127.0.0.1 - - [30/Nov/2026:13:14:31 +0000] "GET /slow?q=1 HTTP/1.1" 499 21 "-" "-" 9 "app@file" "http://127.0.0.1:46385" 301ms`, "13:14:31.000000-13:14:31.301000 client-gone 499 GET /slow?q=1 target 127.0.0.1:46385"},
		{`127.0.0.1 - - [30/Nov/2026:13:14:32 +0000] "GET /nowhere?q=1 HTTP/1.1" 404 19 "-" "-" 10 "-" "-" 0ms`, "not failed"},
	})
	expect(t, TraefikJSON, time.UTC, []parsed{
		{`{"ClientAddr":"127.0.0.1:52952","ClientHost":"127.0.0.1","ClientPort":"52952","ClientUsername":"-","DownstreamContentSize":2,"DownstreamStatus":503,"Duration":524414,"OriginContentSize":2,"OriginDuration":498795,"OriginStatus":503,"Overhead":25619,"RequestAddr":"127.0.0.1:43529","RequestContentSize":0,"RequestCount":22,"RequestHost":"127.0.0.1","RequestMethod":"GET","RequestPath":"/5xx?q=1","RequestPort":"43529","RequestProtocol":"HTTP/1.1","RequestScheme":"http","RetryAttempts":0,"RouterName":"app@file","ServiceAddr":"127.0.0.1:37731","ServiceName":"app@file","ServiceURL":"http://127.0.0.1:37731","StartLocal":"2026-11-30T13:14:35.592663603Z","StartUTC":"2026-11-30T13:14:35.592663603Z","entryPointName":"web","level":"info","msg":"","request_X-Amzn-Trace-Id":"Root=1-5c6a1234-000000000000000000000007","time":"2026-11-30T13:14:35Z"}`, "13:14:35.592663-13:14:35.593188 target-status 503 GET /5xx?q=1 target 127.0.0.1:37731 end 127.0.0.1:43529 retries 0"},
		{`{"ClientAddr":"127.0.0.1:52952","ClientHost":"127.0.0.1","ClientPort":"52952","ClientUsername":"-","DownstreamContentSize":11,"DownstreamStatus":502,"Duration":1653341,"OriginContentSize":11,"OriginDuration":1574422,"OriginStatus":502,"Overhead":78919,"RequestAddr":"127.0.0.1:43529","RequestContentSize":0,"RequestCount":23,"RequestHost":"127.0.0.1","RequestMethod":"GET","RequestPath":"/close?q=1","RequestPort":"43529","RequestProtocol":"HTTP/1.1","RequestScheme":"http","RetryAttempts":0,"RouterName":"app@file","ServiceAddr":"127.0.0.1:34853","ServiceName":"app@file","ServiceURL":"http://127.0.0.1:34853","StartLocal":"2026-11-30T13:14:35.59411278Z","StartUTC":"2026-11-30T13:14:35.59411278Z","entryPointName":"web","level":"info","msg":"","request_X-Amzn-Trace-Id":"Root=1-5c6a1234-000000000000000000000007","time":"2026-11-30T13:14:35Z"}`, "13:14:35.594112-13:14:35.595766 unsaid 502 GET /close?q=1 target 127.0.0.1:34853 end 127.0.0.1:43529 retries 0"},
		{`{"ClientAddr":"127.0.0.1:52952","ClientHost":"127.0.0.1","ClientPort":"52952","ClientUsername":"-","DownstreamContentSize":15,"DownstreamStatus":504,"Duration":1001486620,"OriginContentSize":15,"OriginDuration":1001456202,"OriginStatus":504,"Overhead":30418,"RequestAddr":"127.0.0.1:43529","RequestContentSize":0,"RequestCount":25,"RequestHost":"127.0.0.1","RequestMethod":"GET","RequestPath":"/slow?q=1","RequestPort":"43529","RequestProtocol":"HTTP/1.1","RequestScheme":"http","RetryAttempts":0,"RouterName":"app@file","ServiceAddr":"127.0.0.1:46385","ServiceName":"app@file","ServiceURL":"http://127.0.0.1:46385","StartLocal":"2026-11-30T13:14:35.59693386Z","StartUTC":"2026-11-30T13:14:35.59693386Z","entryPointName":"web","level":"info","msg":"","request_X-Amzn-Trace-Id":"Root=1-5c6a1234-000000000000000000000007","time":"2026-11-30T13:14:36Z"}`, "13:14:35.596933-13:14:36.598420 unsaid 504 GET /slow?q=1 target 127.0.0.1:46385 end 127.0.0.1:43529 retries 0"},
		{`{"ClientAddr":"127.0.0.1:52964","ClientHost":"127.0.0.1","ClientPort":"52964","ClientUsername":"-","DownstreamContentSize":11,"DownstreamStatus":502,"Duration":190306,"OriginContentSize":11,"OriginDuration":164609,"OriginStatus":502,"Overhead":25697,"RequestAddr":"127.0.0.1:43529","RequestContentSize":0,"RequestCount":28,"RequestHost":"127.0.0.1","RequestMethod":"GET","RequestPath":"/refused?q=1","RequestPort":"43529","RequestProtocol":"HTTP/1.1","RequestScheme":"http","RetryAttempts":0,"RouterName":"app@file","ServiceAddr":"127.0.0.1:35923","ServiceName":"app@file","ServiceURL":"http://127.0.0.1:35923","StartLocal":"2026-11-30T13:14:36.601680153Z","StartUTC":"2026-11-30T13:14:36.601680153Z","entryPointName":"web","level":"info","msg":"","request_X-Amzn-Trace-Id":"Root=1-5c6a1234-000000000000000000000007","time":"2026-11-30T13:14:36Z"}`, "13:14:36.601680-13:14:36.601870 unsaid 502 GET /refused?q=1 target 127.0.0.1:35923 end 127.0.0.1:43529 retries 0"},
		{`{"ClientAddr":"127.0.0.1:52964","ClientHost":"127.0.0.1","ClientPort":"52964","ClientUsername":"-","DownstreamContentSize":21,"DownstreamStatus":499,"Duration":303469054,"OriginContentSize":21,"OriginDuration":303452604,"OriginStatus":499,"Overhead":16450,"RequestAddr":"127.0.0.1:43529","RequestContentSize":0,"RequestCount":29,"RequestHost":"127.0.0.1","RequestMethod":"GET","RequestPath":"/slow?q=1","RequestPort":"43529","RequestProtocol":"HTTP/1.1","RequestScheme":"http","RetryAttempts":0,"RouterName":"app@file","ServiceAddr":"127.0.0.1:46385","ServiceName":"app@file","ServiceURL":"http://127.0.0.1:46385","StartLocal":"2026-11-30T13:14:36.602085613Z","StartUTC":"2026-11-30T13:14:36.602085613Z","entryPointName":"web","level":"info","msg":"","request_X-Amzn-Trace-Id":"Root=1-5c6a1234-000000000000000000000007","time":"2026-11-30T13:14:36Z"}`, "13:14:36.602085-13:14:36.905554 client-gone 499 GET /slow?q=1 target 127.0.0.1:46385 end 127.0.0.1:43529 retries 0"},
	})
}

// The lines are Caddy 2.6's.
func TestCaddy(t *testing.T) {
	const request = `"request":{"remote_ip":"127.0.0.1","remote_port":"41954","proto":"HTTP/1.1","method":"POST","host":"127.0.0.1:8000","uri":"/r/129646?m=reset","headers":{"User-Agent":["Go-http-client/1.1"],"Content-Length":["3"],"X-Amzn-Trace-Id":["Root=1-5c6a1234-000000000000000000129646"],"Accept-Encoding":["gzip"]}}`
	const id, host = " trace Root=1-5c6a1234-000000000000000000129646", " end 127.0.0.1:8000"
	expect(t, Caddy, time.UTC, []parsed{
		{`{"level":"error","ts":1796005200.9399157,"logger":"http.log.error","msg":"read tcp 10.78.0.1:58348->10.78.0.2:8080: read: connection reset by peer",` + request + `,"duration":0.000404475,"status":502,"err_id":"veznyu6rc","err_trace":"reverseproxy.statusError (reverseproxy.go:1272)"}`, "02:20:00.939511-02:20:00.939915 closed 502 POST /r/129646?m=reset target 10.78.0.2:8080" + id + " end 10.78.0.1:58348" + host},
		{`{"level":"error","ts":1796005201.2322552,"logger":"http.log.error","msg":"dial tcp 10.78.0.2:8081: connect: connection refused",` + request + `,"duration":0.000704475,"status":502,"err_id":"x"}`, "02:20:01.231550-02:20:01.232255 refused 502 POST /r/129646?m=reset target 10.78.0.2:8081" + id + host},
		{`{"level":"error","ts":1796005201.2322552,"logger":"http.log.error","msg":"dial tcp 10.78.0.2:8081: i/o timeout",` + request + `,"duration":1,"status":504}`, "02:20:00.232255-02:20:01.232255 connect-timeout 504 POST /r/129646?m=reset target 10.78.0.2:8081" + id + host},
		{`{"level":"error","ts":1796005205.5,"logger":"http.log.error","msg":"net/http: timeout awaiting response headers",` + request + `,"duration":2.5,"status":504}`, "02:20:03.000000-02:20:05.500000 read-timeout 504 POST /r/129646?m=reset" + id + host},
		{`{"level":"error","ts":1796005205.5,"logger":"http.log.error","msg":"no upstreams available",` + request + `,"duration":0.5,"status":503}`, "02:20:05.000000-02:20:05.500000 local 503 POST /r/129646?m=reset" + id + host},
		{`{"level":"error","ts":1796005200.9052813,"logger":"http.log.access","msg":"handled request",` + request + `,"user_id":"","duration":0.000443869,"size":0,"status":502,"resp_headers":{"Server":["Caddy"]}}`, "02:20:00.904837-02:20:00.905281 unsaid 502 POST /r/129646?m=reset" + id + host},
		{`{"level":"info","ts":1796005200.9887125,"logger":"http.log.access.log0","msg":"handled request",` + request + `,"user_id":"","duration":0.014385337,"size":4,"status":200,"resp_headers":{"Server":["Caddy"],"Content-Length":["100"]}}`, "not failed"},
		{`{"level":"warn","ts":1796005199.5438418,"logger":"admin","msg":"admin endpoint disabled"}`, "no line of it"},
	})
}

// The fields are those of Cloud Logging's LogEntry and HttpRequest, the words those of the load balancer's documentation.
func TestGCP(t *testing.T) {
	line := func(status, details string) string {
		return `{"httpRequest":{"latency":"0.012346s","remoteIp":"203.0.113.7","requestMethod":"GET","requestSize":"400","requestUrl":"https://www.example.com/a?b=c","responseSize":"488","serverIp":"10.128.0.4","status":` + status + `,"userAgent":"curl"},"insertId":"1x2y3z4a5b","jsonPayload":{"@type":"type.googleapis.com/google.cloud.loadbalancing.type.LoadBalancerLogEntry","remoteIp":"203.0.113.7","statusDetails":"` + details + `"},"logName":"projects/p/logs/requests","receiveTimestamp":"2026-11-20T19:38:49.5Z","resource":{"labels":{"backend_service_name":"b"},"type":"http_load_balancer"},"severity":"WARNING","spanId":"d6a","timestamp":"2026-11-20T19:38:48.250000Z","trace":"projects/p/traces/1"}`
	}
	expect(t, GCP, time.UTC, []parsed{
		{line("200", "response_sent_by_backend"), "not failed"},
		{line("502", "backend_connection_closed_before_data_sent_to_client"), "19:38:48.250000-19:38:48.262346 closed 502 GET /a?b=c"},
		{line("200", "backend_connection_closed_after_partial_response_sent"), "19:38:48.250000-19:38:48.262346 truncated 200 GET /a?b=c"},
		{line("502", "backend_timeout"), "19:38:48.250000-19:38:48.262346 read-timeout 502 GET /a?b=c"},
		{line("502", "failed_to_connect_to_backend"), "19:38:48.250000-19:38:48.262346 connect-error 502 GET /a?b=c"},
		{line("502", "failed_to_pick_backend"), "19:38:48.250000-19:38:48.262346 local 502 GET /a?b=c"},
		{line("503", "response_sent_by_backend"), "19:38:48.250000-19:38:48.262346 target-status 503 GET /a?b=c"},
		{line("0", "client_disconnected_before_any_response"), "19:38:48.250000-19:38:48.262346 client-gone 0 GET /a?b=c"},
		{line("403", "denied_by_security_policy"), "not failed"},
		{line("502", "words_of_tomorrow"), "19:38:48.250000-19:38:48.262346 unsaid 502 GET /a?b=c"},
	})
}

// The lines of nginx are those of nginx 1.22 with log_format ... escape=json and the controller's log-format-upstream; the last is the
// example of the controller's documentation.
func TestNginxOthers(t *testing.T) {
	expect(t, NginxJSON, time.UTC, []parsed{
		{
			`{"time":"2026-11-30T02:21:15+00:00","msec":"1796005275.339","remote_addr":"127.0.0.1","method":"POST","uri":"/r/352020?m=close","status":502,"request_time":0.010,"upstream_addr":"10.78.0.2:8080","upstream_status":"502","upstream_response_time":"0.000","upstream_header_time":"-","trace":"Root=1-5c6a1234-000000000000000000352020","request_id":"2553c7900f0bdf757bf25b8823857679"}`,
			"02:21:15.329000-02:21:15.339000 unsaid 502 POST /r/352020?m=close target 10.78.0.2:8080 retries 0",
		},
		{`{"time_local":"30/Nov/2026:02:21:15 +0000","request":"GET /a HTTP/1.1","status":"503","request_time":"0.010","upstream_addr":"10.78.0.2:8080, 10.78.0.3:8080","upstream_status":"502, 503"}`, "02:21:14.990000-02:21:15.000000 target-status 503 GET /a target 10.78.0.3:8080 retries 1"},
		{`{"msec":"1796005275.339","request":"GET /a HTTP/1.1","status":009,"request_time":0.010}`, "not failed"},
	})
	expect(t, IngressNginx, time.UTC, []parsed{
		{`127.0.0.1 - - [30/Nov/2026:02:21:15 +0000] "POST /r/352020?m=close HTTP/1.1" 502 157 "-" "Go-http-client/1.1" 193 0.010 [default-app-80] [] 10.78.0.2:8080 0 0.000 502 2553c7900f0bdf757bf25b8823857679`, "02:21:14.990000-02:21:15.000000 unsaid 502 POST /r/352020?m=close target 10.78.0.2:8080 retries 0"},
		{`127.0.0.1 - - [30/Nov/2026:02:21:15 +0000] "GET /x HTTP/1.1" 500 2 "-" "-" 193 0.010 [default-app-80] [] 10.78.0.2:8080, 10.78.0.3:8080 0, 2 0.000, 0.004 502, 500 2553c7900f0bdf757bf25b8823857679`, "02:21:14.990000-02:21:15.000000 target-status 500 GET /x target 10.78.0.3:8080 retries 1"},
		{`2026-11-30T02:21:15.1Z stdout F 127.0.0.1 - - [30/Nov/2026:02:21:15 +0000] "GET /x HTTP/1.1" 503 2 "-" "-" 193 0.000 [default-app-80] [] - - - - 2553c7900f0bdf757bf25b8823857679`, "02:21:15.000000-02:21:15.000000 unsaid 503 GET /x"},
		{`127.0.0.1 - - [30/Nov/2026:02:21:15 +0000] "GET /x HTTP/1.1" 200 2 "-" "-" 193 0.010 [default-app-80] [] 10.78.0.2:8080 2 0.000 200 2553c7900f0bdf757bf25b8823857679`, "not failed"},
	})
}

// The lines of HAProxy are those of HAProxy 2.6 with formats of one's own.
func TestHAProxyFormats(t *testing.T) {
	expect(t, HAProxy, time.UTC, []parsed{
		{`127.0.0.1:39404 [30/Nov/2026:02:20:43.601] f b/s 0/0/0/-1/4 502 209 SH-- "POST /r/352752 HTTP/1.1" 10.78.0.1:37514`, "02:20:43.601000-02:20:43.605000 closed 502 POST /r/352752 end 10.78.0.1:37514"},
		{`client=127.0.0.1:49750 [30/Nov/2026:02:20:54.052] frontend=f b/s 10.78.0.2:8080 0/0/0/-1/0 502 SH 0 "POST" "/r/875729?m=x" src=10.78.0.1:58778`, "02:20:54.052000-02:20:54.052000 closed 502 POST /r/875729?m=x end 10.78.0.1:58778"},
		{`127.0.0.1:46728 [30/Nov/2026:02:20:33.134] f b/s 0/0/0/0/0 200 53 - - ---- 3/3/0/0/0 0/0 "POST /r/186314 HTTP/1.1" 0/0/0/0/0 x/TLSv1.3/y`, "not failed"},
		{`127.0.0.1:1 [30/Nov/2026:02:20:33.134] f b/s timers=0/0/0/-1/300 status=504 term=sH-- "GET /a HTTP/1.1"`, "02:20:33.134000-02:20:33.434000 read-timeout 504 GET /a"},
		{`127.0.0.1:1 [30/Nov/2026:02:20:33.134] f b/s 1/2/3 200 --`, "no line of it"},
	})
	expect(t, HAProxyJSON, time.UTC, []parsed{
		{`{"time":"30/Nov/2026:02:21:04 +0000","client":"127.0.0.1:47654","backend":"b","server":"s","server_addr":"10.78.0.2:8080","timers":"0/0/0/-1/12","status":502,"termination_state":"SH","retries":"0","method":"POST","uri":"/r/311008?m=x","backend_source":"10.78.0.1:39940"}`, "02:21:04.000000-02:21:04.012000 closed 502 POST /r/311008?m=x end 10.78.0.2:8080 end 10.78.0.1:39940 retries 0"},
	})
}

// The successful line is the example of AWS's documentation; the failed ones are made after it.
func TestELB(t *testing.T) {
	expect(t, ELB, time.UTC, []parsed{
		{`2015-05-13T23:39:43.945958Z my-loadbalancer 192.168.131.39:2817 10.0.0.1:80 0.000073 0.001048 0.000057 200 200 0 29 "GET http://www.example.com:80/ HTTP/1.1" "curl/7.38.0" - -`, "not failed"},
		{`2015-05-13T23:39:43.945958Z my-loadbalancer 192.168.131.39:2817 10.0.0.1:80 0.001000 0.002000 0.000000 502 502 0 29 "GET http://www.example.com:80/a?b HTTP/1.1" "curl/7.38.0" - -`, "23:39:43.945958-23:39:43.948958 target-status 502 GET /a?b target 10.0.0.1:80"},
		{`2015-05-13T23:39:43.945958Z my-loadbalancer 192.168.131.39:2817 10.0.0.1:80 -1 -1 -1 504 0 0 0 "GET http://www.example.com:80/a HTTP/1.1" "curl/7.38.0" - -`, "23:39:43.945958-23:39:43.945958 unsaid 504 GET /a target 10.0.0.1:80"},
		{`2015-05-13T23:39:43.945958Z my-loadbalancer 192.168.131.39:2817 - -1 -1 -1 503 0 0 0 "GET http://www.example.com:80/a HTTP/1.1" "curl/7.38.0" - -`, "23:39:43.945958-23:39:43.945958 unsaid 503 GET /a"},
		{`2015-05-13T23:39:43.945958Z my-loadbalancer 192.168.131.39:2817 10.0.0.1:80 0.001069 0.000028 0.000041 - - 82 305 "- - - " "-" - -`, "no line of it"}, // of a TCP listener
		{"2015-05-13T23:39:43.945958Z", "no line of it"},
		{"", "no line of it"},
	})
}

// The lines are Apache 2.4's.
func TestApache(t *testing.T) {
	expect(t, ApacheError, time.UTC, []parsed{
		{`[Mon Nov 30 02:21:52.979439 2026] [mpm_event:notice] [pid 25456:tid 25456] AH00489: Apache/2.4.71 (Debian) configured -- resuming normal operations`, "not failed"},
		{`[Mon Nov 30 02:21:54.439781 2026] [proxy_http:error] [pid 25462:tid 25474] (20014)Internal error (specific information not available): [client 127.0.0.1:41390] AH01102: error reading status line from remote server 10.78.0.2:8080`, "--02:21:54.439781 closed 0 - - target 10.78.0.2:8080"},
		{`[Mon Nov 30 02:21:54.478502 2026] [proxy_http:error] [pid 25466:tid 25521] (104)Connection reset by peer: [client 127.0.0.1:41420] AH01102: error reading status line from remote server 10.78.0.2:8080`, "--02:21:54.478502 closed 0 - - target 10.78.0.2:8080"},
		{`[Mon Nov 30 02:21:54.519178 2026] [proxy_http:error] [pid 25466:tid 25523] (70008)Partial results are valid but processing is incomplete: [client 127.0.0.1:41434] AH01110: error reading response`, "--02:21:54.519178 truncated 0 - -"},
		{`[Mon Nov 30 02:21:54.694463 2026] [proxy:error] [pid 25462:tid 25485] (111)Connection refused: AH00957: http: attempt to connect to 10.78.0.2:8081 (10.78.0.2:8081) failed`, "--02:21:54.694463 refused 0 - - target 10.78.0.2:8081"},
		{`[Mon Nov 30 02:21:54.694564 2026] [proxy_http:error] [pid 25462:tid 25485] [client 127.0.0.1:41464] AH01114: HTTP: failed to make connection to backend: 10.78.0.2`, "not failed"},
		{`[Mon Nov 30 02:21:59.100000 2026] [proxy_http:error] [pid 1:tid 2] (70007)The timeout specified has expired: [client 127.0.0.1:41464] AH01102: error reading status line from remote server 10.78.0.2:8080`, "--02:21:59.100000 read-timeout 0 - - target 10.78.0.2:8080"},
		{`[Mon Nov 30 02:21:59.100100 2026] [proxy:error] [pid 1:tid 2] [client 127.0.0.1:41464] AH00898: Error reading from remote server returned by /r/223823`, "not failed"},
		{`[Mon Nov 30 02:21:59.100000 2026] [proxy:error] [pid 1:tid 2] AH00940: HTTP: disabled connection for (10.78.0.2:8081)`, "--02:21:59.100000 local 0 - - target 10.78.0.2:8081"},
		{`[Mon Nov 30 02:21:59.100000 2026]`, "no line of it"},
		{"[", "no line of it"},
		{"", "no line of it"},
	})
	expect(t, ApacheAccess, time.UTC, []parsed{
		{`127.0.0.1 - - [30/Nov/2026:02:21:54 +0000] "POST /r/1 HTTP/1.1" 502 576 "-" "-"`, "02:21:54.000000-02:21:54.000000 unsaid 502 POST /r/1"},
	})
}

// JSON of any product: a status, a time and a request under names that are known.
func TestJSON(t *testing.T) {
	expect(t, JSON, time.UTC, []parsed{
		{`{"timestamp":"2026-11-20T19:38:48.25Z","http":{"method":"GET","path":"/a","status_code":502},"network":{"peers":["10.0.0.1:40000","x"]}}`, "--19:38:48.250000 unsaid 502 GET /a end 10.0.0.1:40000"},
		{`{"timestamp":1795203528250,"method":"GET","url":"http://x/a\u0062","status":"504"}`, "--19:38:48.250000 unsaid 504 GET /ab"},
		{`{"timestamp":"2026-11-20T19:38:48.25Z","method":"GET","path":"/a","status":200}`, "not failed"},
		{`{"timestamp":"2026-11-20T19:38:48.25Z","status":"ok","path":"/a"}`, "no line of it"},
		{`{"timestamp":"yesterday","method":"GET","path":"/a","status":502}`, "no line of it"},
		{`{"timestamp":"2026-11-20T19:38:48.25Z","method":"GET","path":"/a","status":502`, "no line of it"},
		{`{"timestamp":"2026-11-20T19:38:48.25Z","method":"GET","path":"/a","status":502} x`, "no line of it"},
		{`{"a":` + "[[[[[[[[[[[[[[[[[[[[[[[[[[[[" + `}`, "no line of it"},
		{"{}", "no line of it"},
		{"{", "no line of it"},
		{"", "no line of it"},
	})
}
