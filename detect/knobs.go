package detect

import "slices"

// The settings that several rules share. Values are examples for an ALB's 60 s, or for
// a target that closes after 5 s. Defaults are those of the projects' own documentation
// or source; where versions differ the note says so.

// keepAliveKnobs make the target keep idle connections longer than the LB.
var keepAliveKnobs = []Knob{
	{"Node.js", "server.keepAliveTimeout = 75_000; server.headersTimeout = 76_000", "default 5 s up to Node 25; in Node 10.15 to 12 headersTimeout must be the larger one"},
	{"gunicorn", "--keep-alive 75", "default 2 s; sync workers close after each answer and ignore it"},
	{"uvicorn", "--timeout-keep-alive 75", "default 5 s; as a worker of gunicorn it has gunicorn's --keep-alive instead"},
	{"uWSGI", "http-keepalive = 75", "with http = :8080; default off; http-socket closes after each answer without saying so; http11-socket keeps them open as well"},
	{"Puma", "persistent_timeout 75", "default 20 s before Puma 7, 65 s since"},
	{"Tomcat", `<Connector keepAliveTimeout="75000" ... />`, "in Spring Boot server.tomcat.keep-alive-timeout=75s; default connectionTimeout: 60 s, 20 s in the server.xml it ships"},
	{"Jetty", "jetty.http.idleTimeout=75000", "default 30 s; Dropwizard: idleTimeout under applicationConnectors"},
	{"Go", "http.Server{IdleTimeout: 75 * time.Second}", "default ReadTimeout, or none"},
	{"nginx", "keepalive_timeout 120s;", "as the target; default 75 s, which is too short behind Go, Traefik (90 s) or Envoy (1 h)"},
	{"Apache", "KeepAliveTimeout 75", "default 5 s"},
	{"Spring Boot", "server.tomcat.keep-alive-timeout=75s", "with Tomcat; unless it is set, connectionTimeout counts"},
	{"Spring Boot", "server.jetty.connection-idle-timeout=75s", "with Jetty"},
	{"Spring Boot", "server.undertow.no-request-timeout=75s", "with Undertow"},
	{"Spring Boot", "server.netty.idle-timeout=75s", "with Netty, of WebFlux"},
	{"Undertow", "builder.setServerOption(UndertowOptions.NO_REQUEST_TIMEOUT, 75_000)", "default 60 s"},
	{"Reactor Netty", "HttpServer.create().idleTimeout(Duration.ofSeconds(75))", "default none"},
	{"Akka HTTP", "akka.http.server.idle-timeout = 75 s", "default 60 s"},
	{"Pekko HTTP", "pekko.http.server.idle-timeout = 75 s", "default 60 s"},
	{"Kestrel", "options.Limits.KeepAliveTimeout = TimeSpan.FromSeconds(180)", "default 130 s"},
	{"Bandit", "thousand_island_options: [read_timeout: 75_000]", "default 60 s"},
	{"Cowboy", "request_timeout => 75000, idle_timeout => 75000", "default 5 s for request_timeout, which counts between requests"},
	{"Hypercorn", "--keep-alive 75", "default 5 s"},
	{"Granian", "--http1-header-read-timeout 60000", "default 30 s, 60 s at most"},
	{"waitress", "channel_timeout=180", "default 120 s"},
	{"aiohttp", "web.run_app(app, keepalive_timeout=120)", "default 75 s, 3630 s since late 2024"},
	{"lighttpd", "server.max-keep-alive-idle = 75", "default 5 s"},
	{"HAProxy", "timeout http-keep-alive 75s", "as the target; default timeout http-request, else timeout client"},
	{"Envoy", "common_http_protocol_options: { idle_timeout: 7200s }", "as the target, of the listener; default 1 h"},
	{"Traefik", "--entryPoints.web.transport.respondingTimeouts.idleTimeout=240s", "as the target; default 180 s"},
	{"Caddy", "servers { timeouts { idle 10m } }", "as the target; default 5 min"},
	{"Varnish", "-p timeout_idle=75", "as the target; default 5 s"},
	{"Tornado", "HTTPServer(app, idle_connection_timeout=7200)", "default 3600 s"},
	{"Cheroot", "server.timeout = 75", "default 10 s; with CherryPy: server.socket_timeout"},
	{"Daphne", "60 s, which it has no option for", "let the load balancer close idle connections sooner than that"},
	{"Twisted", "Site(root, timeout=75)", "default 60 s"},
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

// showELB tells the attributes of a load balancer of AWS.
const showELB = "aws elbv2 describe-load-balancer-attributes --load-balancer-arn ARN"

// haproxyRetry lets HAProxy repeat what the target's close met, but for POST: it is shown as it is to be pasted.
const haproxyRetry = "retry-on conn-failure empty-response\nhttp-request disable-l7-retry if METH_POST"

// poolKnobs make the LB let go of idle connections before the target does, or repeat a
// request that found its connection closed.
var poolKnobs = []Knob{
	{"ALB", showELB, "its idle_timeout.timeout_seconds (default 60 s) is the time allowed for an answer, too: do not lower it, raise the target's above it; PINGs of HTTP/2 do not count as use"},
	{"nginx", "keepalive_timeout 4s;", "in upstream; default 60 s"},
	{"nginx", "server 10.0.1.10:8080;", "in upstream: where there is another target, it repeats idempotent requests there by itself (proxy_next_upstream, default error timeout); with non_idempotent added, others, too: " + mayRunTwice},
	{"HAProxy", haproxyRetry, "in the section `backend` or `listen`; the second line, because " + mayRunTwice},
	{"Envoy", "common_http_protocol_options: { idle_timeout: 4s }", "of the cluster; default 1 h"},
	{"Envoy", "retry_policy: { retry_on: reset }", "only on routes of idempotent requests: " + mayRunTwice},
	{"Traefik", "--serversTransport.forwardingTimeouts.idleConnTimeout=4s", "default 90 s"},
	{"Apache", `ProxyPass "/" "http://10.0.1.9:8080/" ttl=4`, "default no limit; disablereuse=On gives up pooling"},
	{"AWS ELB", showELB, "its idle_timeout.timeout_seconds (default 60 s) is the time allowed for an answer, too: do not lower it, raise the target's above it"},
	{"GCP", "600 s, which cannot be set", "let the target keep connections for 620 s or more"},
	{"Azure LB", "enableTcpReset = true", "of the rule: both sides learn of it when a connection is dropped for its idle time (idleTimeoutInMinutes, default 4)"},
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
	{"gunicorn", "--max-requests 0", "if it was set: it restarts a worker after so many requests; default off"},
	{"uvicorn", "--timeout-graceful-shutdown 30", "limit-max-requests restarts the process, default off"},
	{"Puma", "worker_timeout 60", "kills a worker that stopped answering its parent"},
	{"Go", "http.Server{WriteTimeout: 90 * time.Second}", "when it passes, the connection ends without an answer; default none"},
	{"Kubernetes", "resources: { limits: { memory: 1Gi } }", "a container over its limit is killed: `kubectl describe pod` says OOMKilled"},
	{"Unicorn", "timeout 60", "kills a worker that takes longer"},
	{"Passenger", "passenger_max_requests 0;", "if it was set: it restarts a process after so many requests"},
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
	{"Tomcat", `<Connector maxKeepAliveRequests="-1" ... />`, "in Spring Boot server.tomcat.max-keep-alive-requests=-1; default 100; -1: no limit"},
	{"gunicorn", "--max-requests 0", "if it was set: it is per worker, not per connection; default off"},
	{"Node.js", "server.maxRequestsPerSocket = 0", "if it was set; default 0: no limit"},
	{"Cowboy", "max_keepalive => 1000000", "default 1000"},
	{"Hypercorn", "keep_alive_max_requests = 100000", "default 1000; in its configuration file"},
}

// ageKnobs are how old a connection may grow.
var ageKnobs = []Knob{
	{"nginx", "keepalive_time 24h;", "as the target; default 1h; it announces the close"},
	{"Go", "http.Server{ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 75 * time.Second}", "instead of ReadTimeout, which is counted from accept for the first request"},
	{"grpc-go", "MaxConnectionAge: time.Hour, MaxConnectionAgeGrace: time.Minute", "keepalive.ServerParameters; default no limit; a tenth of jitter"},
	{"Envoy", "common_http_protocol_options: { max_connection_duration: 3600s }", "of the listener; default no limit; drains first"},
	{"grpc-java", ".maxConnectionAge(1, HOURS)", "of NettyServerBuilder; default no limit"},
}

// finishKnobs let a target finish the requests that it has. What the LB sends on idle connections meanwhile is
// lost all the same.
var finishKnobs = []Knob{
	{"gunicorn", "--graceful-timeout 60", "for requests in work, default 30 s; idle connections are closed at once"},
	{"uvicorn", "--timeout-graceful-shutdown 30", ""},
	{"Hypercorn", "--graceful-timeout 30", "default 3 s"},
	{"Spring Boot", "server.shutdown=graceful", "with spring.lifecycle.timeout-per-shutdown-phase=30s"},
}

// Finishes reports whether a setting is only about requests that the target has when it stops.
func (k Knob) Finishes() bool { return slices.Contains(finishKnobs, k) }

// gracefulKnobs let a target finish and leave in order.
var gracefulKnobs = slices.Concat([]Knob{
	{"Linux", "journalctl | grep -iE 'out of memory|killed process|code=killed'", "was it killed? Of a pod `kubectl describe pod` says it: OOMKilled, exit code 137"},
	{"Kubernetes", `lifecycle: { preStop: { exec: { command: [sleep, "15"] } } }`, "if it was stopped, not killed: so that the load balancer stops sending before the process stops; readinessProbe for the start"},
	{"Node.js", "process.on('SIGTERM', () => setTimeout(() => server.close(), 15_000))", "go on serving until the load balancer has taken the target out"},
	{"Go", "time.Sleep(15 * time.Second); srv.Shutdown(ctx)", "Shutdown closes idle connections at once"},
	{"uWSGI", "touch-chain-reload = /run/app.reload", "reloads one worker after the other; with lazy-apps = true"},
}, finishKnobs)

// partialKnobs are those where a part of the target has ended.
var partialKnobs = slices.Concat(endedKnobs, gracefulKnobs[1:])

// leaveELB takes a target out of a group of AWS.
const leaveELB = "aws elbv2 deregister-targets --target-group-arn ARN --targets Id=ID"

// drainKnobs take a target out of the LB before it stops.
var drainKnobs = []Knob{
	{"ALB", leaveELB, "before the target stops; it goes on being sent to for deregistration_delay.timeout_seconds at most, default 300"},
	{"AWS ELB", leaveELB, "before the target stops; it goes on being sent to for deregistration_delay.timeout_seconds at most"},
	{"GCP", "connectionDraining: { drainingTimeoutSec: 60 }", "of the backend service"},
	{"HAProxy", "echo 'set server app/s1 state drain' | socat - /run/haproxy/admin.sock", "before the target stops; app is the backend, s1 its server"},
	{"nginx", "server 10.0.1.9:8080 down;", "and reload, before the target stops"},
	{"Kubernetes", `lifecycle: { preStop: { exec: { command: [sleep, "15"] } } }`, "on the target's pods"},
}

// lingerKnobs let a target close with FIN.
var lingerKnobs = []Knob{
	{"Tomcat", `<Connector connectionLinger="-1" ... />`, "if it was set: 0 closes with RST; default -1"},
	{"Go", "conn.SetLinger(-1)", "if it was set: 0 closes with RST; default -1"},
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
	{"gunicorn", "--backlog 4096", "default 2048"},
	{"uWSGI", "listen = 1024", "default 100"},
	{"uvicorn", "--backlog 4096", "default 2048"},
	{"Puma", `bind "tcp://0.0.0.0:8080?backlog=4096"`, "default 1024"},
	{"Tomcat", `<Connector acceptCount="1000" ... />`, "in Spring Boot server.tomcat.accept-count=1000; default 100; also maxConnections, maxThreads"},
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
	{"Cheroot", "server.request_queue_size = 1024", "default 5; with CherryPy: server.socket_queue_size"},
	{"Tornado", "server.listen(8080, backlog=1024)", "default 128"},
	{"Twisted", "reactor.listenTCP(8080, site, backlog=1024)", "default 50"},
	{"Daphne", "-e tcp:8080:backlog=1024", "default 50; in place of -p"},
	{"Werkzeug", "werkzeug.serving.LISTEN_QUEUE = 1024", "default 128; it is made for development: gunicorn app:app serves more at once"},
	{"Passenger", "passenger_socket_backlog 4096;", "default 2048"},
	{"Linux", "net.core.somaxconn = 4096", "caps every listen backlog, so raise it as well where it is the smaller one; restart the server to apply"},
}

// connectKnobs let the LB try another target sooner. With one target, and where the queue is full
// for a while, they only make more requests fail.
var connectKnobs = []Knob{
	{"nginx", "proxy_connect_timeout 2s;", "default 60 s; only if it is longer now, and only where there is another target"},
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
	{"nginx", "proxy_connect_timeout 2s;", "default 60 s; only if it is longer now, and only where there is another target in upstream"},
	{"nginx", "server 10.0.1.9:8080 fail_timeout=60s;", "in upstream: it is left out for so long after a failed try; default 10 s"},
	{"HAProxy", "server s1 10.0.1.9:8080 check inter 2s fall 3", "in the backend: it is left out from the third failed check on; with option redispatch a request goes to another target"},
	{"Envoy", "health_checks: [{ interval: 5s, unhealthy_threshold: 2, tcp_health_check: {} }]", "of the cluster; timeout and healthy_threshold must be there as well"},
	{"ALB", "HealthCheckIntervalSeconds = 10, UnhealthyThresholdCount = 2", "of the target group"},
}

// retryKnobs let the LB go to another target where one refuses.
var retryKnobs = []Knob{
	{"nginx", "server 10.0.1.10:8080;", "in upstream: where there is another target, it goes there by itself (proxy_next_upstream, default error timeout)"},
	{"HAProxy", "option redispatch", "in the section `backend` or `listen`, with retries 3"},
	{"Envoy", "retry_policy: { retry_on: connect-failure }", "safe: no request was sent"},
}

// reuseKnobs let the LB open fewer connections.
var reuseKnobs = []Knob{
	{"nginx", "keepalive 64;", `in upstream, with proxy_http_version 1.1 and proxy_set_header Connection ""; default 32 from 1.29.7, without the two others`},
	{"HAProxy", "http-reuse aggressive", "in the section `backend` or `listen`; default safe since 2.0: a new client's first request gets a new connection"},
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
	{"NLB", "tcp.idle_timeout.seconds = 3600", "listener attribute, 60 to 6000; default 350"},
	{"Azure LB", "idleTimeoutInMinutes = 30", "of the rule, 30 at most; default 4; enableTcpReset sends the RST"},
}

// mtuKnobs let large segments through, or keep them small.
var mtuKnobs = []Knob{
	{"Linux", "ping -M do -s 1472 10.0.1.9", "to prove it, from the load balancer: it fails, and with -s 1200 it gets an answer"},
	{"Linux", "iptables -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN \\\n  -j TCPMSS --clamp-mss-to-pmtu", "on the router or tunnel end, not on these two"},
	{"Linux", "net.ipv4.tcp_mtu_probing = 1", "default 0; finds the size that gets through when ICMP does not"},
	{"AWS", "security group: inbound ICMP type 3 code 4", "jumbo frames (9001) inside a VPC, 1500 beyond"},
}

// filterKnobs let through what a filter drops whatever its size.
var filterKnobs = []Knob{
	{"Linux", "net.netfilter.nf_conntrack_tcp_be_liberal = 1", "where a stateful filter sees only one direction"},
}

// timestampKnobs let TIME-WAIT tell a new connection from the old one.
var timestampKnobs = []Knob{
	{"Linux", "net.ipv4.tcp_timestamps = 1", "if it was set to 0 on one of the sides; default 1"},
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
	{"nginx", "proxy_read_timeout 120s;", "default 60s; between two reads"},
	{"HAProxy", "timeout server 120s", "in the section `backend` or `listen`"},
	{"Envoy", "timeout: 120s", "of the route; default 15 s"},
	{"ALB", "idle_timeout.timeout_seconds = 120", "load balancer attribute, 1 to 4000; default 60 s; keep the target's keep-alive timeout above it"},
	{"Apache", "ProxyTimeout 120", "default Timeout"},
	{"Traefik", "--serversTransport.forwardingTimeouts.responseHeaderTimeout=120s", "if it was set; default none"},
	{"AWS ELB", "idle_timeout.timeout_seconds = 120", "load balancer attribute of an ALB, default 60 s; keep the target's keep-alive timeout above it"},
	{"GCP", "timeoutSec: 120", "of the backend service"},
	{"Azure Application Gateway", "requestTimeout = 120", "of the backend settings, 1 to 86400"},
	{"ingress-nginx", `nginx.ingress.kubernetes.io/proxy-read-timeout: "120"`, "default 60 s"},
	{"Istio", "timeout: 120s", "of the VirtualService's route"},
	{"Kong", "read_timeout: 120000", "of the service; default 60 s"},
	{"Caddy", "transport http { response_header_timeout 120s }", "in reverse_proxy"},
	{"Varnish", ".first_byte_timeout = 120s;", "of the backend; default 60s"},
	{"Squid", "read_timeout 30 minutes", "default 15 min"},
	{"h2o", "proxy.timeout.io: 120000", "default 30 s"},
	{"Traffic Server", "CONFIG proxy.config.http.transaction_no_activity_timeout_out INT 120", "default 30 s"},
	{"nghttpx", "--backend-read-timeout=120s", "default 1 min"},
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
		add(r.Large)
	}
	for _, c := range CloseCauses {
		add(c.Knobs)
	}
	return all
}
