package detect

// The settings that matter where LB and target speak HTTP/2.

// streamKnobs let a target take more streams at once.
var streamKnobs = []Knob{
	{"nginx", "http2_max_concurrent_streams 512;", "as the target; default 128"},
	{"Go", "http.Server{HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 1000}}", "default 250"},
	{"grpc-go", "grpc.MaxConcurrentStreams(1000)", "default no limit"},
	{"grpc-java", ".maxConcurrentCallsPerConnection(1000)", "of NettyServerBuilder; default no limit"},
	{"Node.js", "http2.createServer({ settings: { maxConcurrentStreams: 1000 } })", "default no limit"},
	{"Tomcat", `<UpgradeProtocol maxConcurrentStreams="500" ... />`, "className org.apache.coyote.http2.Http2Protocol; default 100, 200 before 9.0.21"},
	{"Envoy", "http2_protocol_options: { max_concurrent_streams: 1000 }", "of the listener, as the target"},
}

// graceKnobs let a target wait for open streams before it closes.
var graceKnobs = []Knob{
	{"grpc-go", "keepalive.ServerParameters{MaxConnectionAge: time.Hour, MaxConnectionAgeGrace: time.Minute}", "default no limit for both; the age varies by 10 %"},
	{"grpc-java", ".maxConnectionAge(1, HOURS).maxConnectionAgeGrace(1, MINUTES)", "of NettyServerBuilder; default no limit for both"},
	{"Go", "srv.Shutdown(ctx)", "waits for open streams until ctx ends; Close does not wait"},
	{"nginx", "worker_shutdown_timeout 60s;", "as the target; default none; keepalive_time 1h and keepalive_requests 1000 end connections between streams"},
	{"Envoy", "drain_timeout: 30s", "as the target, of the HTTP connection manager: between its two GOAWAYs; default 5 s"},
	{"Node.js", "session.close()", "waits for open streams; session.destroy() does not"},
	{"Kubernetes", "terminationGracePeriodSeconds: 60", "of the pod; default 30"},
}

// streamLBKnobs let an LB repeat what the target refused.
var streamLBKnobs = []Knob{
	{"Envoy", "retry_policy: { retry_on: refused-stream }", "safe whatever the method; http2_protocol_options max_concurrent_streams of the cluster bounds the streams of a connection"},
	{"nginx", "grpc_next_upstream error timeout non_idempotent;", "default error timeout; without non_idempotent gRPC calls, which are POST, are not repeated. It repeats all that failed, also what the target had begun: " + mayRunTwice},
	{"HAProxy", haproxyRetry, "in the section `backend` or `listen`; tune.h2.be.max-concurrent-streams (before 2.8 tune.h2.max-concurrent-streams) bounds the streams of a connection"},
	{"Traefik", "retry: { attempts: 2 }", "middleware of the router"},
	{"Linkerd", "retry.linkerd.io/http: 5xx", "annotation of the Service or HTTPRoute; retry.linkerd.io/grpc: unavailable for gRPC"},
}

// streamLogs are what LBs log when a stream is reset.
var streamLogs = []LogLine{
	{"nginx", "502", "upstream rejected request with error", "of grpc_pass; the number is the code of RST_STREAM, 7 is REFUSED_STREAM"},
	{"Envoy", "503", "UR", "upstream_reset_before_response_started{remote_reset}"},
	{"HAProxy", "502", "SH--", "SD-- where the answer had begun"},
}
