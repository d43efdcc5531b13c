package detect_test

import (
	"cmp"
	"strings"
	"testing"

	"connrace/detect"
	"connrace/pcaps"
	"connrace/tcpstate"
)

// asked analyses a script on a host that answers, and returns the first finding and what was asked
// about it.
func asked(t *testing.T, name string, answer func(*detect.HostQuestion) detect.HostAnswer) (f *detect.Finding, q detect.HostQuestion) {
	t.Helper()
	s, err := pcaps.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	d := detect.New(detect.Options{Host: func(xs []detect.HostQuestion) (as []detect.HostAnswer) {
		if q == (detect.HostQuestion{}) {
			q = xs[0]
		}
		for i := range xs {
			as = append(as, answer(&xs[i]))
		}
		return as
	}})
	d.Segments(s.Segments())
	r := d.Finish()
	if len(r.Findings) == 0 {
		t.Fatalf("%s: no finding", name)
	}
	return r.Findings[0], q
}

// What is known of the process stands in the summary, and its end is the cause.
func TestProcessOfFinding(t *testing.T) {
	master := &detect.Process{PID: 4700, Name: "uwsgi"}
	for _, tt := range []struct {
		name, script string
		process      detect.Process
		summary, fix string
	}{
		{
			"killed by its master", "closed-with-request-outstanding",
			detect.Process{PID: 4711, Name: "uwsgi", Command: "/usr/bin/uwsgi", Closed: detect.CloseByExit, Exit: &detect.Exit{Signal: 9, Killer: master}},
			"process 4711 (uwsgi) had the connection and was ended by SIGKILL from process 4700 (uwsgi), which closed it", "harakiri",
		},
		{
			"out of memory", "closed-with-request-outstanding",
			detect.Process{
				PID: 4711, Name: "java", Command: "java", Container: strings.Repeat("7f9a", 16), Closed: detect.CloseByExit,
				Exit: &detect.Exit{Signal: 9, OOM: true, Limit: 512 << 20},
			},
			"process 4711 (java, container 7f9a7f9a7f9a) had the connection and was ended by SIGKILL (out of memory, limit 512 MB), which closed it", "memory.max",
		},
		{
			"crashed", "closed-with-request-outstanding",
			detect.Process{PID: 1, Name: "a", Unit: "a.service", Closed: detect.CloseByExit, Exit: &detect.Exit{Signal: 11}},
			"process 1 (a, a.service) had the connection and was ended by SIGSEGV, which closed it", "core dump",
		},
		{
			"exited", "closed-with-request-outstanding",
			detect.Process{PID: 1, Name: "node", Command: "node", Exit: &detect.Exit{Code: 3}},
			"process 1 (node) had the connection and exited with status 3", "its own log",
		},
		{
			"stopped", "closed-with-request-outstanding",
			detect.Process{PID: 1, Name: "node", Closed: detect.CloseByExit, Exit: &detect.Exit{Signal: 15}},
			"was ended by SIGTERM, which closed it", "stopped with requests in hand",
		},
		{
			"closed and ended", "closed-with-request-outstanding",
			detect.Process{PID: 1, Name: "gunicorn", Closed: detect.CloseByCall, Exit: &detect.Exit{Time: 3e6, Code: 1}},
			"process 1 (gunicorn) closed it, and exited with status 1 3 ms after the close", "its own log",
		},
		{
			"closed and told to stop", "closed-with-request-outstanding",
			detect.Process{PID: 1, Name: "gunicorn", Closed: detect.CloseByCall, Exit: &detect.Exit{Time: 3e6, Signal: 15}},
			"process 1 (gunicorn) closed it, and was ended by SIGTERM 3 ms after the close", "It was stopped with requests in hand. Take it out",
		},
		{"closed", "closed-with-request-outstanding", detect.Process{PID: 1, Name: "node", Closed: detect.CloseByCall, Alive: true}, "process 1 (node) closed it, and went on", ""},
		{
			"aborted, and closed by itself", "closed-with-request-outstanding",
			detect.Process{PID: 1, Name: "gunicorn", Closed: detect.CloseByCall, Exit: &detect.Exit{Time: 90e6, Code: 1, Caught: &detect.Signal{Number: 6, From: master}}},
			"process 1 (gunicorn) got SIGABRT from process 4700 (uwsgi), closed it, and exited with status 1 90 ms after the close", "gunicorn --timeout",
		},
		{
			"told to stop, and crashed", "closed-with-request-outstanding",
			detect.Process{PID: 1, Name: "a", Closed: detect.CloseByExit, Exit: &detect.Exit{Signal: 11, Caught: &detect.Signal{Number: 15, From: master}}},
			"process 1 (a) had the connection and got SIGTERM from process 4700 (uwsgi) and was ended by SIGSEGV, which closed it", "core dump",
		},
		{
			"told to stop, and killed", "closed-with-request-outstanding",
			detect.Process{PID: 1, Name: "a", Closed: detect.CloseByExit, Exit: &detect.Exit{Signal: 9, Killer: master, Caught: &detect.Signal{Number: 15, From: master}}},
			"process 1 (a) had the connection and got SIGTERM from process 4700 (uwsgi) and was ended by SIGKILL from process 4700 (uwsgi), which closed it", "longer grace period",
		},
		{
			"told to stop, and exited", "closed-with-request-outstanding",
			detect.Process{PID: 1, Name: "a", Closed: detect.CloseByExit, Exit: &detect.Exit{Code: 3, Caught: &detect.Signal{Number: 15, From: master}}},
			"process 1 (a) had the connection and got SIGTERM from process 4700 (uwsgi) and exited with status 3, which closed it", "It was stopped with requests in hand",
		},
		{"listens", "syn-dropped", detect.Process{PID: 1, Name: "node"}, "process 1 (node) listens there", ""},
		{
			"stopped, and refused", "connection-refused",
			detect.Process{PID: 1, Name: "node", Exit: &detect.Exit{Signal: 15}},
			"process 1 (node) listened there until", "It was stopped. Take it out of the load balancer before that",
		},
		{"listened", "connection-refused", detect.Process{PID: 1, Name: "node", Until: 1, Exit: &detect.Exit{Signal: 9}}, "process 1 (node) listened there until", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, q := asked(t, tt.script, func(q *detect.HostQuestion) (a detect.HostAnswer) {
				p := tt.process
				if e := p.Exit; e != nil {
					x := *e
					x.Time += cmp.Or(q.Close, q.Time)
					p.Exit = &x
				}
				a.Process = &p
				return a
			})
			if f.Process == nil || !strings.Contains(f.Summary, "; ") || !strings.Contains(f.Summary, tt.summary) {
				t.Errorf("%s, want %s", f.Summary, tt.summary)
			}
			if !strings.Contains(f.Fix, tt.fix) || (tt.process.Exit != nil) != strings.Contains(f.Cause, f.Process.String()) {
				t.Errorf("%s %s", f.Cause, f.Fix)
			}
			if q.LB != f.LB || q.Target != f.Target || (q.Close != 0) == q.SYN {
				t.Errorf("asked %+v", q)
			}
		})
	}
}

// A process that closed its socket itself did so alive: that it was killed right behind it is no
// cause of the close.
func TestKilledAfterClose(t *testing.T) {
	without, _ := asked(t, "closed-with-request-outstanding", func(*detect.HostQuestion) (a detect.HostAnswer) { return a })
	for _, e := range []detect.Exit{{Signal: 9}, {Signal: 9, OOM: true}} {
		for _, closed := range []string{detect.CloseByCall, detect.CloseByShutdown} {
			f, _ := asked(t, "closed-with-request-outstanding", func(q *detect.HostQuestion) (a detect.HostAnswer) {
				e.Time = q.Close + 3e6
				a.Process = &detect.Process{PID: 1, Name: "node", Closed: closed, Exit: &e}
				return a
			})
			if f.Cause != without.Cause || f.Fix != without.Fix || !strings.Contains(f.Summary, "process 1 (node) closed it, and was ended by SIGKILL") {
				t.Errorf("%s: %s %s", f.Summary, f.Cause, f.Fix)
			}
		}
	}
}

// Where the host is another, or knows nothing, a finding is as it is without.
func TestNoProcess(t *testing.T) {
	f, _ := asked(t, "closed-with-request-outstanding", func(*detect.HostQuestion) (a detect.HostAnswer) { return a })
	s, _ := pcaps.Load("closed-with-request-outstanding")
	d := detect.New(detect.Options{
		Host: func(qs []detect.HostQuestion) []detect.HostAnswer {
			t.Error("another host's is asked after")
			return make([]detect.HostAnswer, len(qs))
		},
		IsLocal: func(tcpstate.Addr) bool { return false },
	})
	d.Segments(s.Segments())
	if g := d.Finish().Findings[0]; f.Summary != g.Summary || f.Process != nil || g.Cause != f.Cause {
		t.Errorf("%s %s", f.Summary, g.Summary)
	}
}

// The kernel's reason decides between a full queue and a filter, for each SYN by its number.
func TestDropReasons(t *testing.T) {
	drops := func(reason string, n int, other tcpstate.Seq) func(*detect.HostQuestion) detect.HostAnswer {
		return func(q *detect.HostQuestion) (a detect.HostAnswer) {
			s, _ := pcaps.Load("syn-dropped")
			var seq tcpstate.Seq
			for _, x := range s.Segments() {
				if x.Flags == tcpstate.SYN && x.Src == q.LB {
					seq = x.Seq
				}
			}
			for range n {
				a.Drops = append(a.Drops, detect.HostDrop{Time: q.Time, Seq: seq + other, Flags: tcpstate.SYN, Reason: reason})
			}
			return a
		}
	}
	for _, tt := range []struct {
		name       string
		answer     func(*detect.HostQuestion) detect.HostAnswer
		rule       *detect.Rule
		confidence detect.Confidence
		reason     string
	}{
		{"a firewall drops both", drops("NETFILTER_DROP", 2, 0), detect.SYNUnanswered, detect.Certain, "NETFILTER_DROP"},
		{"it drops other ones", drops("NETFILTER_DROP", 2, 1), detect.SYNDropped, detect.Suspected, ""},
		{"the queue does", drops("TCP_LISTEN_OVERFLOW", 2, 0), detect.SYNDropped, detect.Certain, "TCP_LISTEN_OVERFLOW"},
		{"for no reason that says it", drops("NOT_SPECIFIED", 2, 0), detect.SYNDropped, detect.Suspected, ""},
		{"nothing is known", drops("", 0, 0), detect.SYNDropped, detect.Suspected, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, _ := asked(t, "syn-dropped", tt.answer)
			if f.Rule != tt.rule || f.Confidence != tt.confidence || f.Measures.DropReason != tt.reason {
				t.Errorf("%s, %s: %s (%s)", f.Rule.ID, f.Confidence, f.Measures.DropReason, f.Grounds)
			}
		})
	}
}

// Why the kernel sent an RST stands beside it.
func TestResetReason(t *testing.T) {
	f, _ := asked(t, "connection-refused", func(*detect.HostQuestion) detect.HostAnswer { return detect.HostAnswer{Reset: "NO_SOCKET"} })
	said := false
	for _, e := range f.Evidence {
		said = said || e.Role == detect.RoleRST && strings.HasSuffix(e.Note, "(the kernel: NO_SOCKET)")
	}
	if !said || f.Measures.RSTReason != "NO_SOCKET" {
		t.Errorf("%q, %+v", f.Measures.RSTReason, f.Evidence)
	}
}
