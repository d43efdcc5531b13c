package html

import (
	"fmt"
	"net/netip"
	"time"

	"connrace/cmd/connrace/internal/baseline"
	"connrace/cmd/connrace/internal/lblog"
	"connrace/cmd/connrace/internal/report"
	"connrace/detect"
	"connrace/tcpstate"
)

const (
	millisecond = int64(time.Millisecond)
	midnight    = 1548460800 * second // 2019-01-26
)

// hostile is text that would be markup, script, a terminal's command or worse.
const hostile = `<script>alert(1)</script><img src=x onerror=alert(2)>"'` + "`${alert(3)}`" + `</title></style></script><!--{{.}}--> ` +
	"\x1b]0;owned\a \x00\xff\u202e\u2028 &lt; javascript:alert(4)"

func ep(s string) tcpstate.Endpoint { return tcpstate.EndpointFrom(netip.MustParseAddrPort(s)) }

// race is a crossing as the reference incident has it, captured at the target.
func raceFinding(id int, at int64, lb, target string, path string) *detect.Finding {
	stream, frame := uint32(id), uint64(id)*10
	ev := func(n uint64, dt int64, fromLB bool, flags tcpstate.Flags, seq, ack, size uint32, role detect.Role, note string) detect.Evidence {
		return detect.Evidence{
			Stream: stream, Frame: frame + n, Time: at + dt, FromLB: fromLB, Flags: flags,
			Seq: tcpstate.Seq(seq), Ack: tcpstate.Seq(ack), Len: size, Role: role, Note: note,
		}
	}
	l, t := uint32(3417288670), uint32(4294967200) // the target's numbers wrap
	f := &detect.Finding{
		ID: id, Rule: detect.FINRequestCrossing, Severity: detect.Error, Confidence: detect.Certain, Grounds: "roles known by the handshake",
		Stream: stream, HasStream: true, LB: ep(lb), Target: ep(target), Frame: frame + 3, Time: at + 172e3, Lost: true,
		Request: &detect.Request{Frame: frame + 3, Time: at + 172e3, Bytes: 331, Method: "GET", Path: path, HTTPVersion: "1.1", TraceID: fmt.Sprintf("Root=1-5c4ba400-%024d", id)},
		Measures: detect.Measures{
			Idle: detect.Duration{NS: 5*second + 1874e3, Known: true}, RTT: detect.Duration{NS: 240e3, Known: true}, Waiting: -1,
			RST: "reply", CloseCause: detect.CloseIdleTimeout, CloseCauseBasis: "inferred",
		},
		Evidence: []detect.Evidence{
			ev(2, 0, false, tcpstate.FIN|tcpstate.ACK, t+143, l, 0, detect.RoleFIN, "FIN: the target had not seen the request"),
			ev(3, 172e3, true, tcpstate.PSH|tcpstate.ACK, l, t+143, 331, detect.RoleRequest, "first byte of the request"),
			ev(4, 197e3, false, tcpstate.RST, t+143, 0, 0, detect.RoleRST, "reply RST: no socket for this any more"),
			ev(5, 251e3, true, tcpstate.FIN|tcpstate.ACK, l+331, t+144, 0, detect.RoleLBFIN, "the LB closes its side"),
			ev(6, 270e3, false, tcpstate.RST, t+144, 0, 0, detect.RoleRST, "reply RST: no socket for this any more"),
			ev(7, 9e6, true, tcpstate.SYN, 77, 0, 0, detect.RoleNewHandshake, "the LB opens a new connection"),
		},
		RoleBasis: "handshake", Summary: fmt.Sprintf("the target's FIN (frame %d) and the LB's request (frame %d) crossed", frame+2, frame+3),
		Cause: "The target's keep-alive timer (5 s) fired while the LB was sending a request on that idle connection.",
		Fix:   "Raise the target's keep-alive timeout, which fires after 5 s, above the LB's idle timeout, to 65 s or more, so that the LB closes first.",
	}
	f.Evidence[5].Stream = stream + 1e6
	idle := ev(1, -5*second-1874e3, false, tcpstate.PSH|tcpstate.ACK, t, l, 143, detect.RoleLastAnswer, "last bytes of the answer before")
	f.IdleFrom = &idle
	return f
}

// dropped is a SYN that was never answered.
func dropped(id int, at int64, lb, target string) *detect.Finding {
	f := &detect.Finding{
		ID: id, Rule: detect.SYNDropped, Severity: detect.Error, Confidence: detect.Likely, Stream: uint32(id), HasStream: true,
		LB: ep(lb), Target: ep(target), Frame: uint64(id) * 10, Time: at, Lost: true, RoleBasis: "handshake",
		Measures: detect.Measures{Attempts: 2, Waiting: 3, Outstanding: detect.Duration{NS: second, Known: true}},
		Summary:  "the SYN was sent 2 times over 1 s and never answered", Cause: detect.SYNDropped.Cause, Fix: detect.SYNDropped.Fix,
	}
	for i, role := range []detect.Role{detect.RoleSYN, detect.RoleRepeat} {
		f.Evidence = append(f.Evidence, detect.Evidence{
			Stream: uint32(id), Frame: uint64(id)*10 + uint64(i), Time: at + int64(i)*second, FromLB: true, Flags: tcpstate.SYN, Seq: 7, Role: role, Note: "SYN",
		})
	}
	return f
}

// sample is a report with n crossings and a dropped SYN for every tenth of them.
func sample(n int) *report.Report {
	const target, other = "10.0.1.9:8080", "[2001:db8::9]:443"
	res := &detect.Result{}
	for i := range n {
		at := midnight + int64(i)*60*second/int64(n)
		res.Findings = append(res.Findings, raceFinding(len(res.Findings)+1, at, fmt.Sprintf("10.0.0.2:%d", 1024+i%60000), target, fmt.Sprintf("/r/%d?secret=%d", i, i)))
		if i%10 == 0 {
			res.Findings = append(res.Findings, dropped(len(res.Findings)+1, at, fmt.Sprintf("[2001:db8::2]:%d", 1024+i%60000), other))
		}
	}
	t := detect.Target{
		Target: ep(target), LBs: []tcpstate.Addr{ep("10.0.0.2:1").Addr}, Connections: uint64(2 * n), Requests: uint64(9 * n),
		RTTMedian: detect.Duration{NS: 240e3, Known: true}, RTTP99: detect.Duration{NS: 900e3, Known: true}, Vantage: "target",
		Idle:         &detect.Timeout{NS: 5*second + 2*millisecond, Samples: 40, SpreadNS: 3 * millisecond, Hint: []string{"fits the default of uvicorn (--timeout-keep-alive, 5 s)"}},
		LBIdle:       &detect.Timeout{NS: 60 * second, Samples: 7, SpreadNS: millisecond},
		LongestReuse: detect.Duration{NS: 4998 * millisecond, Known: true}, NearMisses: 3, Exposure: 62.4, HasExposure: true,
		Advice: []string{"the target closes connections after 5 s idle"},
		Reuses: &detect.Histogram{30: 300, 31: 120, 49: 4}, TargetCloses: &detect.Histogram{49: 40}, LBCloses: &detect.Histogram{63: 7},
	}
	v6 := detect.Target{Target: ep(other), Connections: uint64(n), Requests: uint64(n), Vantage: "lb"}
	v6.Handshakes.Unanswered = uint64(n / 10)
	res.Targets = []detect.Target{t, v6}
	res.Totals.Requests, res.Totals.Segments, res.Totals.Flows = uint64(10*n), uint64(100*n), uint64(3*n)
	for _, f := range res.Findings {
		res.Tally(f.Target, f.Tries())
	}
	return &report.Report{
		Captures: []report.Capture{{Path: "captures/web-1.pcap", Format: "pcap", Frames: uint64(100 * n), Bytes: 1 << 20, First: midnight - second, Last: midnight + 61*second}},
		Analyses: []report.Analysis{{Result: res, Captures: []int{0}}},
	}
}

// poisoned is a report in which every text from outside is hostile.
func poisoned() *report.Report {
	r := sample(3)
	r.Captures[0].Path = hostile + ".pcap"
	r.Captures[0].Warnings = []string{hostile}
	r.Since, r.Until = hostile, hostile
	x := r.Analyses[0].Result
	for _, f := range x.Findings {
		f.Summary, f.Cause, f.Fix, f.Grounds = hostile, hostile, hostile, hostile
		for i := range f.Evidence {
			f.Evidence[i].Note = hostile
		}
		if f.Request != nil {
			f.Request = &detect.Request{Method: hostile, Path: "/" + hostile, HTTPVersion: hostile, TraceID: hostile, RequestID: hostile}
		}
	}
	x.Targets[0].Advice = []string{hostile}
	beside(r, hostile)
	return r
}

// beside adds what a load balancer's log and an earlier report say.
func beside(r *report.Report, text string) {
	e := &lblog.Entry{Line: 7, End: midnight, Resolution: second, Status: 502, Method: "GET", Path: "/r/0?secret=1" + text, Says: text}
	r.Log = &lblog.Join{
		Files: []lblog.File{{Path: text, Kind: lblog.ALB, Lines: 9, Entries: 9, Failed: 2}}, Entries: 9, Failed: 2, Explained: 1,
		ByRule: map[string]int{"fin-request-crossing": 1}, Notes: []string{text},
		Joined:      []lblog.Joined{{Entry: e, Finding: 1, Rule: detect.FINRequestCrossing, By: lblog.ByPath}},
		Unexplained: []lblog.Unexplained{{Entry: e, Why: text}},
	}
	before := &baseline.Run{Requests: 10, Lost: 9, Findings: map[string]int{text: 9}, Targets: []baseline.Target{{Target: text, Requests: 10, Idle: 5}}}
	r.Baseline = baseline.Compare(text, before, r.Figures())
}
