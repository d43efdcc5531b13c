package detect

import "slices"

// The settings that several rules share. Values are examples for an ALB's 60 s, or for
// a target that closes after 5 s. Defaults are those of the projects' own documentation
// or source; where versions differ the note says so.

// keepAliveKnobs make the target keep idle connections longer than the LB.
var keepAliveKnobs = []Knob{
	{"Node.js", "server.keepAliveTimeout = 75_000; server.headersTimeout = 76_000", "default 5 s up to Node 25; in Node 10.15 to 12 headersTimeout must be the larger one"},
	{"gunicorn", "--keep-alive 75", "default 2 s; sync workers close after each answer and ignore it"},
	{"uvicorn", "--timeout-keep-alive 75", "default 5 s"},
	{"uWSGI", "http-keepalive = 75", "with http = :8080; default off; http-socket closes after each answer without saying so; http11-socket keeps them open as well"},
	{"Puma", "persistent_timeout 75", "default 20 s before Puma 7, 65 s since"},
	{"Tomcat", `<Connector keepAliveTimeout="75000" ... />`, "default connectionTimeout: 60 s, 20 s in the server.xml it ships"},
	{"Jetty", "jetty.http.idleTimeout=75000", "default 30 s; Dropwizard: idleTimeout under applicationConnectors"},
	{"Go", "http.Server{IdleTimeout: 75 * time.Second}", "default ReadTimeout, or none"},
	{"nginx", "keepalive_timeout 75s;", "as the target; default 75 s, which is too short behind Go, Traefik (90 s) or Envoy (1 h)"},
	{"Apache", "KeepAliveTimeout 75", "default 5 s"},
	{"Spring Boot", "server.tomcat.keep-alive-timeout=75s", "with Tomcat; unless it is set, connectionTimeout counts"},
	{"Spring Boot", "server.jetty.connection-idle-timeout=75s", "with Jetty"},
	{"Spring Boot", "server.undertow.no-request-timeout=75s", "with Undertow"},
	{"Spring Boot", "server.netty.idle-timeout=75s", "with Netty, of WebFlux"},
	{"Undertow", "builder.setServerOption(UndertowOptions.NO_REQUEST_TIMEOUT, 75_000)", "default 60 s"},
	{"Reactor Netty", "HttpServer.create().idleTimeout(Duration.ofSeconds(75))", "default none"},
	{"Akka HTTP", "akka.http.server.idle-timeout = 75 s", "default 60 s"},
	{"Pekko HTTP", "pekko.http.server.idle-timeout = 75 s", "default 60 s"},
	{"Kestrel", "options.Limits.KeepAliveTimeout = TimeSpan.FromSeconds(130)", "the default"},
	{"Bandit", "thousand_island_options: [read_timeout: 75_000]", "default 60 s"},
	{"Cowboy", "request_timeout => 75000, idle_timeout => 75000", "default 5 s for request_timeout, which counts between requests"},
	{"Hypercorn", "--keep-alive 75", "default 5 s"},
	{"Granian", "--http1-header-read-timeout 60000", "default 30 s, 60 s at most"},
	{"waitress", "channel_timeout=130", "default 120 s"},
	{"aiohttp", "web.run_app(app, keepalive_timeout=75)", "default 75 s, 3630 s since late 2024"},
	{"lighttpd", "server.max-keep-alive-idle = 75", "default 5 s"},
	{"HAProxy", "timeout http-keep-alive 75s", "as the target; default timeout http-request, else timeout client"},
	{"Envoy", "common_http_protocol_options: { idle_timeout: 3600s }", "as the target, of the listener; default 1 h"},
	{"Traefik", "--entryPoints.web.transport.respondingTimeouts.idleTimeout=180s", "as the target; the default"},
	{"Caddy", "servers { timeouts { idle 5m } }", "as the target; default 5 min"},
	{"Varnish", "-p timeout_idle=75", "as the target; default 5 s"},
	{"HTTP/2 in Node.js", "server.setTimeout(75_000)", "of node:http2, where keepAliveTimeout does not count; default none since Node 13, 2 minutes before"},
	{"grpc-go", "keepalive.ServerParameters{MaxConnectionIdle: time.Hour}", "also MaxConnectionAge; default no limit"},
	{"grpc-java", ".maxConnectionIdle(1, HOURS)", "of NettyServerBuilder; also maxConnectionAge, default no limit"},
}

// ServesHTTP2 reports whether a keep-alive setting of a server counts for HTTP/2, too, and the
// server speaks it without TLS, as load balancers do to their targets.
func ServesHTTP2(software string) bool {
	switch software {
	case "Go", "nginx", "Apache", "Envoy", "HAProxy", "Traefik", "Caddy", "Jetty", "Undertow", "Kestrel", "Hypercorn", "HTTP/2 in Node.js", "grpc-go", "grpc-java":
		return true
	}
	return false
}

// poolKnobs make the LB let go of idle connections before the target does, or repeat a
// request that found its connection closed.
var poolKnobs = []Knob{
	{"ALB", "idle_timeout.timeout_seconds = 60", "also the time allowed for an answer, so raise the target's instead of lowering this; PINGs of HTTP/2 do not count as use"},
	{"nginx", "keepalive_timeout 4s;", "in upstream; default 60 s"},
	{"nginx", "proxy_next_upstream error timeout;", "the default; repeats idempotent requests only, unless non_idempotent is added"},
	{"HAProxy", "retry-on conn-failure empty-response", "in the section `backend` or `listen`: sends a request again whose connection was closed. Add `http-request disable-l7-retry if METH_POST` there, too, so that no POST runs twice"},
	{"Envoy", "common_http_protocol_options: { idle_timeout: 4s }", "of the cluster; default 1 h"},
	{"Envoy", "retry_policy: { retry_on: reset }", "only on routes whose requests may be repeated"},
	{"Traefik", "--serversTransport.forwardingTimeouts.idleConnTimeout=4s", "default 90 s"},
	{"Apache", `ProxyPass "/" "http://10.0.1.9:8080/" ttl=4`, "default no limit; disablereuse=On gives up pooling"},
	{"AWS ELB", "idle_timeout.timeout_seconds = 60", "of an ALB, default 60 s; of an NLB it is tcp.idle_timeout.seconds"},
	{"NLB", "tcp.idle_timeout.seconds = 350", "the default; it passes connections through: what matters are the clients' pools"},
	{"GCP", "600 s, which cannot be set", "let the target keep connections for 620 s or more"},
	{"Azure LB", "idleTimeoutInMinutes = 4", "the default; enableTcpReset lets both sides know"},
	{"ingress-nginx", `upstream-keepalive-timeout: "4"`, "in the ConfigMap; default 60 s"},
	{"Istio", "connectionPool: { http: { idleTimeout: 4s } }", "of the DestinationRule; default 1 h"},
	{"Kong", "upstream_keepalive_idle_timeout = 4", "default 60 s"},
	{"Caddy", "transport http { keepalive 4s }", "in reverse_proxy; default 2 min"},
	{"Varnish", "-p backend_idle_timeout=4", "default 60 s"},
	{"Squid", "server_idle_pconn_timeout 4 seconds", "default 1 min"},
	{"h2o", "proxy.timeout.keepalive: 1000", "default 2 s"},
	{"Traffic Server", "CONFIG proxy.config.http.keep_alive_no_activity_timeout_out INT 4", "default 120 s"},
	{"nghttpx", "--backend-keep-alive-timeout=1s", "default 2 s"},
	{"Go", "http.Transport{IdleConnTimeout: 4 * time.Second}", "default 90 s, of http.DefaultTransport"},
}

// watchdogKnobs are how long a request may take before its worker is killed.
var watchdogKnobs = []Knob{
	{"gunicorn", "--timeout 60", "default 30 s"},
	{"uWSGI", "harakiri = 60", "also max-requests, max-worker-lifetime, cheaper; worker-reload-mercy (60 s) is how long a reload waits"},
}

// workerKnobs are the watchdogs and recyclers that end a process with a request in it.
var workerKnobs = slices.Concat(watchdogKnobs, []Knob{
	{"gunicorn", "--max-requests 0", "restarts a worker after so many requests, default off"},
	{"uvicorn", "--timeout-graceful-shutdown 30", "limit-max-requests restarts the process, default off"},
	{"Puma", "worker_timeout 60", "kills a worker that stopped answering its parent"},
	{"Go", "http.Server{WriteTimeout: 90 * time.Second}", "when it passes, the connection ends without an answer; default none"},
	{"Kubernetes", "resources: { limits: { memory: 1Gi } }", "a container over its limit is killed: `kubectl describe pod` says OOMKilled"},
	{"Unicorn", "timeout 60", "kills a worker that takes longer"},
	{"Passenger", "passenger_max_requests 0;", "0: a process is not restarted by the number of its requests"},
})

// endedKnobs show what ended a process that had a request, and keep it from being ended.
var endedKnobs = slices.Concat([]Knob{
	{"Linux", "journalctl | grep -iE 'out of memory|killed process|code=killed'", "was it the kernel? Then raise the memory limit, or let the workers need less"},
	{"gunicorn", "grep -E 'WORKER TIMEOUT|was sent SIG|due to signal|Handling signal' error.log", "was it the master (WORKER TIMEOUT: raise --timeout, below), somebody's kill or the kernel (was sent SIGKILL, due to signal 9), or a deploy (Handling signal: term or hup)? --error-logfile says where that log is"},
	{"uWSGI", "grep -E 'HARAKIRI|DAMN|received' uwsgi.log", "was it the master (HARAKIRI: raise it, below), somebody's kill or the kernel (DAMN, killed by signal 9), or a deploy (SIGINT/SIGTERM received)? logto says where that log is"},
}, workerKnobs)

// requestKnobs are how long a request may take.
var requestKnobs = slices.Concat(watchdogKnobs, []Knob{
	{"Node.js", "server.setTimeout(0); server.requestTimeout = 300_000", "setTimeout: default none since Node 13, 2 minutes before; requestTimeout is for a request to arrive"},
	{"Go", "http.Server{WriteTimeout: 90 * time.Second}", "when it passes, the connection ends without an answer; default none"},
	{"Unicorn", "timeout 60", "kills a worker that takes longer"},
	{"PHP-FPM", "request_terminate_timeout = 60s", "default 0: none; kills the worker"},
	{"Pekko HTTP", "pekko.http.server.request-timeout = 60 s", "default 20 s"},
	{"Akka HTTP", "akka.http.server.request-timeout = 60 s", ""},
})

// countKnobs are how many requests a connection may carry.
var countKnobs = []Knob{
	{"nginx", "keepalive_requests 10000;", "as the target; default 1000, 100 before 1.19.10; it announces the close; of HTTP/2 it was http2_max_requests before 1.19.7"},
	{"Envoy", "common_http_protocol_options: { max_requests_per_connection: 0 }", "as the target, of the listener; default no limit"},
	{"Apache", "MaxKeepAliveRequests 0", "default 100; 0: no limit"},
	{"Tomcat", `<Connector maxKeepAliveRequests="-1" ... />`, "default 100; -1: no limit"},
	{"gunicorn", "--max-requests 0", "per worker, not per connection: default off"},
	{"Node.js", "server.maxRequestsPerSocket = 0", "the default: no limit"},
	{"Cowboy", "max_keepalive => 1000000", "default 1000"},
	{"Hypercorn", "keep_alive_max_requests = 100000", "default 1000; in its configuration file"},
}

// ageKnobs are how old a connection may grow.
var ageKnobs = []Knob{
	{"nginx", "keepalive_time 1h;", "as the target; the default; it announces the close"},
	{"Go", "http.Server{ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 75 * time.Second}", "instead of ReadTimeout, which is counted from accept for the first request"},
	{"grpc-go", "MaxConnectionAge: time.Hour, MaxConnectionAgeGrace: time.Minute", "keepalive.ServerParameters; default no limit; a tenth of jitter"},
	{"Envoy", "common_http_protocol_options: { max_connection_duration: 3600s }", "of the listener; default no limit; drains first"},
	{"grpc-java", ".maxConnectionAge(1, HOURS)", "of NettyServerBuilder; default no limit"},
}

// gracefulKnobs let a target finish and leave in order.
var gracefulKnobs = []Knob{
	{"Linux", "journalctl | grep -iE 'out of memory|killed process|code=killed'", "was it killed? Then no hook below helps: raise its memory limit, and TimeoutStopSec= of its unit if it was stopped too soon"},
	{"Kubernetes", `lifecycle: { preStop: { exec: { command: [sleep, "15"] } } }`, "if it was stopped, not killed (`kubectl describe pod`: OOMKilled, exit code 137): so that the load balancer stops sending before the process stops; readinessProbe for the start"},
	{"Node.js", "process.on('SIGTERM', () => setTimeout(() => server.close(), 15_000))", "go on serving until the load balancer has taken the target out"},
	{"Go", "time.Sleep(15 * time.Second); srv.Shutdown(ctx)", "Shutdown closes idle connections at once"},
	{"gunicorn", "--graceful-timeout 30", "for requests in work, default 30 s; idle connections are closed at once"},
	{"uWSGI", "touch-chain-reload = /run/app.reload", "reloads one worker after the other; with lazy-apps = true"},
	{"uvicorn", "--timeout-graceful-shutdown 30", ""},
	{"Hypercorn", "--graceful-timeout 30", "default 3 s"},
	{"Spring Boot", "server.shutdown=graceful", "with spring.lifecycle.timeout-per-shutdown-phase=30s"},
}

// drainKnobs take a target out of the LB before it stops.
var drainKnobs = []Knob{
	{"ALB", "deregistration_delay.timeout_seconds = 60", "target group attribute, default 300; deregister, wait, then stop the target"},
	{"AWS ELB", "deregistration_delay.timeout_seconds = 60", "target group attribute; deregister, wait, then stop the target"},
	{"GCP", "connectionDraining: { drainingTimeoutSec: 60 }", "of the backend service"},
	{"HAProxy", "set server app/s1 state drain", "on the runtime socket, before the target stops: app is the backend, s1 the server line in it"},
	{"nginx", "server 10.0.1.9:8080 down;", "and reload, before the target stops"},
	{"Kubernetes", `lifecycle: { preStop: { exec: { command: [sleep, "15"] } } }`, "on the target's pods"},
}

// lingerKnobs let a target close with FIN.
var lingerKnobs = []Knob{
	{"Tomcat", `<Connector connectionLinger="-1" ... />`, "the default; 0 would close with RST"},
	{"Go", "conn.SetLinger(-1)", "the default; 0 would close with RST"},
}

// drainBodyKnobs let a target read a body that it does not want.
var drainBodyKnobs = []Knob{
	{"Tomcat", `<Connector maxSwallowSize="-1" ... />`, "default 2 MiB"},
	{"uWSGI", "post-buffering = 8192", "reads the body before the application runs"},
	{"Node.js", "req.resume()", "before the answer ends"},
	{"Go", "io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 64<<20))", "before the answer ends"},
}

// bodyLimitKnobs refuse a large body before it gets to the target.
var bodyLimitKnobs = []Knob{
	{"nginx", "client_max_body_size 10m;", "the target's own limit"},
	{"HAProxy", "http-request deny deny_status 413 if { req.body_size gt 10485760 }", "in the section `frontend` or `backend`"},
	{"Apache", "LimitRequestBody 10485760", ""},
}

// backlogKnobs make the listener's queue longer.
var backlogKnobs = []Knob{
	{"Node.js", "server.listen({ port: 8080, backlog: 1024 })", "default 511"},
	{"gunicorn", "--backlog 2048", "the default"},
	{"uWSGI", "listen = 1024", "default 100"},
	{"uvicorn", "--backlog 2048", "the default"},
	{"Puma", `bind "tcp://0.0.0.0:8080?backlog=1024"`, "the default"},
	{"Tomcat", `<Connector acceptCount="1000" ... />`, "default 100; also maxConnections, maxThreads"},
	{"Jetty", "jetty.http.acceptQueueSize=1024", "default 0, the platform's own; Dropwizard: acceptQueueSize under applicationConnectors"},
	{"Go", "net.core.somaxconn = 4096", "net.Listen takes it as the backlog"},
	{"nginx", "listen 8080 backlog=4096;", "as the target; default 511"},
	{"Apache", "ListenBackLog 4096", "default 511"},
	{"PHP-FPM", "listen.backlog = 4096", "default 511"},
	{"Undertow", "builder.setSocketOption(Options.BACKLOG, 4096)", "default 1000"},
	{"Pekko HTTP", "pekko.http.server.backlog = 1000", "default 100"},
	{"Akka HTTP", "akka.http.server.backlog = 1000", ""},
	{"Spring Boot", "server.tomcat.accept-count=1000", "with Tomcat"},
	{"Hypercorn", "--backlog 2048", "default 100"},
	{"waitress", "backlog=2048", "default 1024"},
	{"Unicorn", "listen 8080, backlog: 2048", "default 1024"},
	{"Passenger", "passenger_socket_backlog 4096;", "default 2048"},
	{"Linux", "net.core.somaxconn = 4096", "caps every listen backlog, so raise it as well where it is the smaller one; restart the server to apply"},
}

// connectKnobs let the LB try another target sooner. With one target, and where the queue is full
// for a while, they only make more requests fail.
var connectKnobs = []Knob{
	{"nginx", "proxy_connect_timeout 2s;", "default 60 s; only where there is another target, which it then goes to sooner"},
	{"HAProxy", "timeout connect 2s", "in the section `backend` or `listen`, with retries 3 and option redispatch"},
	{"Envoy", "connect_timeout: 2s", "of the cluster"},
	{"Apache", `ProxyPass "/" "http://10.0.1.9:8080/" connectiontimeout=2`, ""},
	{"Traefik", "--serversTransport.forwardingTimeouts.dialTimeout=2s", ""},
	{"Varnish", ".connect_timeout = 2s;", "of the backend; default 3.5 s"},
	{"Squid", "connect_timeout 2 seconds", "default 1 min"},
	{"nghttpx", "--backend-connect-timeout=2s", "default 30 s"},
	{"Caddy", "transport http { dial_timeout 2s }", "in reverse_proxy"},
	{"ingress-nginx", `nginx.ingress.kubernetes.io/proxy-connect-timeout: "2"`, ""},
	{"Istio", "connectionPool: { tcp: { connectTimeout: 2s } }", "of the DestinationRule"},
}

// goneKnobs show whether a host is there, and let the LB leave one that is not.
var goneKnobs = []Knob{
	{"Linux", "ip route get 10.0.1.9; ping -c 3 10.0.1.9; ip neigh show 10.0.1.9", "a host that is up answers pings unless a filter drops them, too; in the same network FAILED or INCOMPLETE means that no host has this address any more"},
	{"nginx", "server 10.0.1.9:8080 max_fails=1 fail_timeout=10s;", "in upstream: it is left out for 10 s after each failed try; only where there is another target"},
	{"HAProxy", "server s1 10.0.1.9:8080 check inter 2s fall 3", "in the backend: it is left out from the third failed check on; with option redispatch a request goes to another target"},
	{"Envoy", "health_checks: [{ interval: 5s, unhealthy_threshold: 2, tcp_health_check: {} }]", "of the cluster; timeout and healthy_threshold must be there as well"},
	{"ALB", "HealthCheckIntervalSeconds = 10, UnhealthyThresholdCount = 2", "of the target group"},
}

// retryKnobs let the LB go to another target where one refuses.
var retryKnobs = []Knob{
	{"nginx", "proxy_next_upstream error timeout;", "the default"},
	{"HAProxy", "option redispatch", "in the section `backend` or `listen`, with retries 3"},
	{"Envoy", "retry_policy: { retry_on: connect-failure }", "safe: no request was sent"},
}

// reuseKnobs let the LB open fewer connections.
var reuseKnobs = []Knob{
	{"nginx", "keepalive 64;", `in upstream, with proxy_http_version 1.1 and proxy_set_header Connection ""; from 1.29.7 the default is 32, without the two others`},
	{"HAProxy", "http-reuse safe", "in the section `backend` or `listen`"},
}

// pathKnobs are where a SYN is dropped on purpose.
var pathKnobs = []Knob{
	{"Linux", "iptables -nvL; nft list ruleset", "a DROP rule whose counter grows"},
	{"Linux", "net.netfilter.nf_conntrack_max = 262144", "if nf_conntrack_count is near it; the kernel logs \"table full, dropping packet\""},
	{"AWS", "security group and network ACL of the target's subnet", "in: the target's port; out: ports 1024 to 65535 to the load balancer's subnets"},
}

// resetKnobs are what sends RSTs in the name of others, or lets hosts send them.
var resetKnobs = []Knob{
	{"Linux", "net.netfilter.nf_conntrack_tcp_be_liberal = 1", "on every host that translates addresses, Kubernetes nodes too: conntrack then passes what lies outside of the window"},
	{"Linux", "iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP", "instead of passing them on untranslated, to be answered by RST"},
	{"Linux", "iptables -nvL; nft list ruleset", "a REJECT rule with tcp-reset whose counter grows"},
}

// hairpinKnobs let answers come back through what translated the SYN.
var hairpinKnobs = []Knob{
	{"Linux", "iptables -t nat -A POSTROUTING -m conntrack --ctstate DNAT -j MASQUERADE", "where the destination is translated"},
	{"Kubernetes", "iptables: { masqueradeAll: true }", "of kube-proxy's configuration"},
	{"Kubernetes", "net.bridge.bridge-nf-call-iptables = 1", "on every node, with the module br_netfilter"},
}

// idlePathKnobs are the idle timeouts of what lies between.
var idlePathKnobs = []Knob{
	{"NLB", "tcp.idle_timeout.seconds = 350", "listener attribute, 60 to 6000"},
	{"Azure LB", "idleTimeoutInMinutes = 4", "4 to 30, of the rule; enableTcpReset sends the RST"},
}

// mtuKnobs let large segments through, or keep them small.
var mtuKnobs = []Knob{
	{"Linux", "iptables ... -j TCPMSS --clamp-mss-to-pmtu", "-t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN, on the router or tunnel end"},
	{"Linux", "net.ipv4.tcp_mtu_probing = 1", "default 0; finds the size that gets through when ICMP does not"},
	{"Linux", "net.netfilter.nf_conntrack_tcp_be_liberal = 1", "where a stateful filter sees only one direction"},
	{"AWS", "security group: inbound ICMP type 3 code 4", "jumbo frames (9001) inside a VPC, 1500 beyond"},
}

// timestampKnobs let TIME-WAIT tell a new connection from the old one.
var timestampKnobs = []Knob{
	{"Linux", "net.ipv4.tcp_timestamps = 1", "the default; on both sides"},
}

// portKnobs give the LB more source ports.
var portKnobs = []Knob{
	{"Linux", "net.ipv4.ip_local_port_range = 1024 65535", "on the load balancer; per destination address and port"},
	{"NLB", "preserve_client_ip.enabled = false", "target group attribute; the target then sees the NLB's addresses"},
}

// tcpKeepaliveKnobs keep the state of an idle connection alive in what lies between.
var tcpKeepaliveKnobs = []Knob{
	{"Linux", "net.ipv4.tcp_keepalive_time = 120", "default 7200 s; only for sockets that ask for keep-alives, as below"},
	{"nginx", "proxy_socket_keepalive on;", "default off"},
	{"HAProxy", "option srvtcpka", "in the section `backend` or `listen`"},
	{"Envoy", "upstream_connection_options: { tcp_keepalive: { keepalive_time: 120 } }", "of the cluster"},
}

// readTimeoutKnobs are how long the LB waits for an answer.
var readTimeoutKnobs = []Knob{
	{"nginx", "proxy_read_timeout 60s;", "the default; between two reads"},
	{"HAProxy", "timeout server 60s", "in the section `backend` or `listen`"},
	{"Envoy", "timeout: 60s", "of the route"},
	{"ALB", "idle_timeout.timeout_seconds = 60", "load balancer attribute, 1 to 4000; keep the target's keep-alive timeout above it"},
	{"Apache", "ProxyTimeout 60", "default Timeout"},
	{"Traefik", "--serversTransport.forwardingTimeouts.responseHeaderTimeout=60s", "default none"},
	{"AWS ELB", "idle_timeout.timeout_seconds = 60", "load balancer attribute of an ALB"},
	{"GCP", "timeoutSec: 60", "of the backend service"},
	{"Azure Application Gateway", "requestTimeout = 60", "of the backend settings, 1 to 86400"},
	{"ingress-nginx", `nginx.ingress.kubernetes.io/proxy-read-timeout: "60"`, ""},
	{"Istio", "timeout: 60s", "of the VirtualService's route"},
	{"Kong", "read_timeout: 60000", "of the service"},
	{"Caddy", "transport http { response_header_timeout 60s }", "in reverse_proxy"},
	{"Varnish", ".first_byte_timeout = 60s;", "of the backend; the default"},
	{"Squid", "read_timeout 60 seconds", "default 15 min"},
	{"h2o", "proxy.timeout.io: 60000", "default 30 s"},
	{"Traffic Server", "CONFIG proxy.config.http.transaction_no_activity_timeout_out INT 60", "default 30 s"},
	{"nghttpx", "--backend-read-timeout=60s", "default 1 min"},
}

// allKnobs are the settings of all rules and causes, each once.
func allKnobs() (all []Knob) {
	add := func(ks []Knob) {
		for _, k := range ks {
			if !slices.Contains(all, k) {
				all = append(all, k)
			}
		}
	}
	for _, r := range Rules {
		add(r.Servers)
		add(r.LBs)
		add(r.Gone)
	}
	for _, c := range CloseCauses {
		add(c.Knobs)
	}
	return all
}
