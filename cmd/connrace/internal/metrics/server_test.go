package metrics

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAddress(t *testing.T) {
	for in, want := range map[string]string{
		":9502":                             "127.0.0.1:9502",
		"9502":                              "127.0.0.1:9502",
		"*:9502":                            ":9502",
		"0.0.0.0:9502":                      "0.0.0.0:9502",
		"[::1]:9502":                        "[::1]:9502",
		"localhost:9502":                    "localhost:9502",
		"127.0.0.1:0":                       "127.0.0.1:0",
		"":                                  "",
		":":                                 "",
		"10.0.0.1":                          "",
		"10.0.0.1:http":                     "",
		":99999":                            "",
		"::1:9502":                          "",
		"unix:/run/a":                       "unix:/run/a",
		"unix:a":                            "",
		"unix:":                             "",
		"unix:/" + strings.Repeat("a", 100): "",
	} {
		got, err := Address(in)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestMetrics(t *testing.T) {
	s := NewStore(rules, 2)
	s.Publish(Snapshot{
		Packets: 1000, Drops: 3, Requests: 40, LostRequests: 2, FailedConnections: 12, OpenTries: 13, ClientAborts: 14, Answers5xx: 15, Undecided: 16, Connections: 5, SYNRetransmissions: 6, EvictedFlows: 7, EvictedTargets: 12,
		Evidence: 8, EvidenceLost: 9, WriteLost: 11,
		Targets: []Target{
			{Name: "10.0.0.5:8080", IdleTimeout: 5 * time.Second, Queue: Queue{2, 1, true}},
			{Name: "unix:/run/\xff.sock", Queue: Queue{0, 128, true}},
			{Name: "10.0.0.6:8080", IdleTimeout: time.Second},
		},
	})
	s.Process("uwsgi")
	s.Finding("syn-dropped", "10.0.0.5:8080")
	s.Finding("syn-dropped", "10.0.0.6:8080")
	want := `
# HELP connrace_accept_queue Connections that wait for the target to accept() them.
# TYPE connrace_accept_queue gauge
connrace_accept_queue{target="10.0.0.5:8080"} 2
connrace_accept_queue{target="unix:/run/` + "\uFFFD" + `.sock"} 0
# HELP connrace_accept_queue_limit Backlog of the target's listening socket, as the kernel clamped it.
# TYPE connrace_accept_queue_limit gauge
connrace_accept_queue_limit{target="10.0.0.5:8080"} 1
connrace_accept_queue_limit{target="unix:/run/` + "\uFFFD" + `.sock"} 128
# HELP connrace_build_info What was built, from what, and by what; always 1.
# TYPE connrace_build_info gauge
connrace_build_info{goversion="go1.26",revision="abc",version="v1"} 1
# HELP connrace_capture_drops_total Packets that the kernel dropped for want of room in the ring.
# TYPE connrace_capture_drops_total counter
connrace_capture_drops_total 3
# HELP connrace_capture_packets_total Packets that were captured.
# TYPE connrace_capture_packets_total counter
connrace_capture_packets_total 1000
# HELP connrace_connections Connections that are being followed.
# TYPE connrace_connections gauge
connrace_connections 5
# HELP connrace_evidence_files_total Files of evidence that were written (--evidence).
# TYPE connrace_evidence_files_total counter
connrace_evidence_files_total 8
# HELP connrace_evidence_lost_total Files of evidence that could not be written.
# TYPE connrace_evidence_lost_total counter
connrace_evidence_lost_total 9
# HELP connrace_findings_total Findings, by rule and target.
# TYPE connrace_findings_total counter
connrace_findings_total{rule="fin-request-crossing",target="10.0.0.5:8080"} 0
connrace_findings_total{rule="fin-request-crossing",target="other"} 0
connrace_findings_total{rule="fin-request-crossing",target="unix:/run/` + "\uFFFD" + `.sock"} 0
connrace_findings_total{rule="syn-dropped",target="10.0.0.5:8080"} 1
connrace_findings_total{rule="syn-dropped",target="other"} 1
connrace_findings_total{rule="syn-dropped",target="unix:/run/` + "\uFFFD" + `.sock"} 0
# HELP connrace_flows_evicted_total Connections that were forgotten for want of room (--max-flows).
# TYPE connrace_flows_evicted_total counter
connrace_flows_evicted_total 7
# HELP connrace_idle_timeout_seconds Idle timeout of the target, as inferred from its closes.
# TYPE connrace_idle_timeout_seconds gauge
connrace_idle_timeout_seconds{target="10.0.0.5:8080"} 5
# HELP connrace_process_findings_total Findings about processes of this host, by the process's program.
# TYPE connrace_process_findings_total counter
connrace_process_findings_total{process="uwsgi"} 1
# HELP connrace_requests_lost_total Requests that got no answer.
# TYPE connrace_requests_lost_total counter
connrace_requests_lost_total 2
# HELP connrace_requests_total Requests that load balancers sent to targets.
# TYPE connrace_requests_total counter
connrace_requests_total 40
# HELP connrace_syn_retransmissions_total SYNs that were sent again for want of an answer.
# TYPE connrace_syn_retransmissions_total counter
connrace_syn_retransmissions_total 6
# HELP connrace_targets_evicted_total Targets that were given up for others, and are counted together since (--max-targets).
# TYPE connrace_targets_evicted_total counter
connrace_targets_evicted_total 12
# HELP connrace_write_lost_total Captured packets that could not be written (-w).
# TYPE connrace_write_lost_total counter
connrace_write_lost_total 11
# HELP connrace_answers_5xx_total Answers of targets that say 5xx.
# TYPE connrace_answers_5xx_total counter
connrace_answers_5xx_total 15
# HELP connrace_client_aborts_total Requests that the load balancer gave up, most likely with its client.
# TYPE connrace_client_aborts_total counter
connrace_client_aborts_total 14
# HELP connrace_failed_connections_total Connections that never came to be: refused, given up, or broken off before a request.
# TYPE connrace_failed_connections_total counter
connrace_failed_connections_total 12
# HELP connrace_failed_tries_total Tries that failed: lost requests and failed connections.
# TYPE connrace_failed_tries_total counter
connrace_failed_tries_total 14
# HELP connrace_open_tries Tries that have long been unanswered and are not decided.
# TYPE connrace_open_tries gauge
connrace_open_tries 13
# HELP connrace_undecided_total Incidents that stay undecided, for frames are missing.
# TYPE connrace_undecided_total counter
connrace_undecided_total 16
`
	text := string(page(s, Build{"v1", "abc", "go1.26"}))
	ours, process := families(text), []string{}
	for name := range ours {
		if !strings.HasPrefix(name, "connrace_") {
			process = append(process, name)
			delete(ours, name)
		}
	}
	if !maps.Equal(ours, families(want)) {
		t.Errorf("%s", text)
	}
	if slices.Sort(process); !slices.Contains(process, "process_start_time_seconds") {
		t.Errorf("of the process: %v", process)
	}
	if promtool, err := exec.LookPath("promtool"); err == nil {
		check := exec.Command(promtool, "check", "metrics")
		check.Stdin = strings.NewReader(text)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("promtool: %v\n%s", err, out)
		}
	}
}

// families are the figures of a page with their heads, by name.
func families(page string) map[string]string {
	m := map[string]string{}
	for _, f := range strings.Split("\n"+strings.TrimSpace(page), "\n# HELP ")[1:] {
		name, _, _ := strings.Cut(f, " ")
		lines := strings.Split(f, "\n") // help, type, figures in any order
		slices.Sort(lines[2:])
		m[name] = strings.Join(lines, "\n")
	}
	return m
}

func TestLabels(t *testing.T) {
	var e exposition
	e.figure("a", 1e6, "b", "\\\"\n\xff", "c", "")
	e.figure("d", 0.5)
	if got, want := e.String(), `a{b="\\\"\n`+"\uFFFD"+`",c=""} 1e+06`+"\nd 0.5\n"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestServer(t *testing.T) {
	s, now := clocked(2)
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := Serve(l, s, Build{})
	base := "http://" + srv.Addr()
	code, body := get(t, base+"/metrics")
	for _, want := range []string{"connrace_requests_total 0\n", "connrace_build_info{", "go_goroutines ", `connrace_findings_total{rule="syn-dropped",target="other"} 0`} {
		if code != 200 || !strings.Contains(body, want) {
			t.Errorf("/metrics: %d, without %q:\n%s", code, want, body)
		}
	}
	if code, body := get(t, base+"/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("/healthz: %d %q", code, body)
	}
	*now = now.Add(time.Minute)
	if code, body := get(t, base+"/healthz"); code != 503 || body != "stalled for 60 s\n" {
		t.Errorf("/healthz of a capture that is stuck: %d %q", code, body)
	}
	if code, _ := get(t, base+"/debug/pprof/"); code != 404 {
		t.Errorf("/debug/pprof/: %d", code)
	}
	if resp, err := http.Post(base+"/metrics", "text/plain", nil); err != nil || resp.StatusCode != 405 {
		t.Errorf("POST: %v, %v", resp, err)
	}

	if _, err := Listen(srv.Addr()); err == nil || !strings.Contains(err.Error(), "address already in use") || strings.Contains(err.Error(), "\n") {
		t.Errorf("a second server on the same address: %v", err)
	}

	// Connections that say nothing do not hold up the end.
	idle, err := net.Dial("tcp", srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	srv.Close(ctx)
	if d := time.Since(begin); d > 2*time.Second {
		t.Errorf("closing took %s", d)
	}
	if _, err := net.Dial("tcp", srv.Addr()); err == nil {
		t.Error("still listening after Close")
	}
}
