package detect_test

import (
	"strings"
	"testing"

	"connrace/detect"
	"connrace/pcaps"
)

// The path is black for seven seconds. The load balancer, nginx, gave up after four; its FIN had to
// wait for the request to be acknowledged, and goes out at once then. This is no script of the
// corpus: at the target's end the answer may be captured before that FIN.
func TestGivenUpMeanwhile(t *testing.T) {
	s, err := pcaps.Parse("given-up-meanwhile", []byte(`
-- hosts --
lb     10.0.0.2:41000 isn 854586979 ts 684338641
target 10.0.1.9:8080  isn 2072036191 ts 414999811
-- packets --
0.010000 lb     > target S  0:0(0) mss 1460 wscale 7 sackOK
0.030030 target > lb     S. 0:0(0) ack 1 mss 1460 wscale 7 sackOK
0.030070 lb     > target .  1:1(0) ack 1
0.100000 lb     > target P. 1:31(30) ack 1 "GET /a HTTP/1.1\r\nHost: app\r\n\r\n"
0.120040 target > lb     .  1:1(0) ack 31
0.125000 target > lb     P. 1:54(53) ack 31 "HTTP/1.1 200 OK\r\nServer: app\r\nContent-Length: 2\r\n\r\nok"
0.125040 lb     > target .  31:31(0) ack 54
0.325500 lb     > target P. 31:63(32) ack 54 "GET /r/2 HTTP/1.1\r\nHost: app\r\n\r\n"
0.545500 lb     > target P. 31:63(32) ack 54 "GET /r/2 HTTP/1.1\r\nHost: app\r\n\r\n"
0.765500 lb     > target P. 31:63(32) ack 54 "GET /r/2 HTTP/1.1\r\nHost: app\r\n\r\n"
1.205500 lb     > target P. 31:63(32) ack 54 "GET /r/2 HTTP/1.1\r\nHost: app\r\n\r\n"
2.125500 lb     > target P. 31:63(32) ack 54 "GET /r/2 HTTP/1.1\r\nHost: app\r\n\r\n"
3.925500 lb     > target P. 31:63(32) ack 54 "GET /r/2 HTTP/1.1\r\nHost: app\r\n\r\n"
7.425500 lb     > target P. 31:63(32) ack 54 "GET /r/2 HTTP/1.1\r\nHost: app\r\n\r\n"
7.445540 target > lb     .  54:54(0) ack 63
7.445640 lb     > target F. 63:63(0) ack 54
7.450500 target > lb     P. 54:107(53) ack 63 "HTTP/1.1 200 OK\r\nServer: app\r\nContent-Length: 2\r\n\r\nok"
7.450510 lb     > target R  63:63(0)
7.465680 target > lb     .  107:107(0) ack 64
7.465690 lb     > target R  64:64(0)
`))
	if err != nil {
		t.Fatal(err)
	}
	r := run(s)
	if len(r.Findings) != 1 || r.Findings[0].Rule != detect.PathLoss || !r.Findings[0].Lost || r.Findings[0].Measures.Attempts != 7 {
		t.Fatalf("found %s, want path-loss error", rules(r, nil))
	}
}

// Whether what was lost was lost for its size is said where the capture shows it.
func TestLostSize(t *testing.T) {
	for _, c := range []struct {
		script, says string
		size         detect.Size
	}{
		{"path-loss-mtu-black-hole", "Segments of 1460 bytes were lost on the way, and those of up to 32 passed: most likely an MTU", detect.TooLarge},
		{"path-loss-mtu-answer", "The path is narrower than 10.0.1.9 believes", detect.TooLarge},
		{"path-loss-mtu", "The path is narrower than 10.0.0.2 believes", detect.TooLarge}, // an ICMP error says it
		{"path-loss-answer", "not the MTU: segments of 42 bytes were lost, which nearly every path carries", detect.AnySize},
		{"path-loss-mtu-since", "", detect.SizeUnknown},
		{"path-loss-small-since", "not the MTU: segments of 40 bytes were lost, which nearly every path carries", detect.AnySize},
		{"path-loss-recovered", "not the MTU", detect.AnySize},
		{"path-loss-host-unreachable", "", detect.AnySize},
		{"path-loss-request-hole", "5000 bytes in a row were lost on the way, and segments of up to 60 bytes passed meanwhile: most likely an MTU", detect.SizeUnknown},
	} {
		for _, s := range corpus(t) {
			if s.Name != c.script {
				continue
			}
			for _, f := range run(s).Findings {
				if f.Rule == detect.PathLoss && (!strings.Contains(f.Cause, c.says) || f.Measures.Size() != c.size) {
					t.Errorf("%s: size %d: %s", c.script, f.Measures.Size(), f.Cause)
				}
				if large := strings.Contains(f.Fix, "clamp"); f.Rule == detect.PathLoss && large != (c.size != detect.AnySize) {
					t.Errorf("%s: %s", c.script, f.Fix)
				}
			}
		}
	}
}

// Of an upload that the target stopped reading nobody says that its client was slow.
func TestNotReading(t *testing.T) {
	seen := 0
	for _, s := range corpus(t) {
		if !strings.HasSuffix(s.Name, "-window-shut") {
			continue
		}
		seen++
		for _, f := range run(s).Findings {
			if !strings.Contains(f.Summary, "its receive window was closed") || !strings.Contains(f.Cause, "did not read the request") {
				t.Errorf("%s: %s: %s", s.Name, f.Summary, f.Cause)
			}
		}
	}
	if seen != 2 {
		t.Errorf("%d scripts", seen)
	}
}

// Of requests that end with all connections of the load balancer nobody says that a client went away.
func TestLBStopped(t *testing.T) {
	for _, s := range corpus(t) {
		if s.Name != "lb-closed-with-request-outstanding-lb-stopped" {
			continue
		}
		fs := run(s).Findings
		if len(fs) != 2 {
			t.Errorf("%d findings", len(fs))
		}
		for _, f := range fs {
			if f.ClientLeft() || !strings.Contains(f.Cause, "it was stopped, restarted or killed") {
				t.Error(f.Cause)
			}
		}
		return
	}
	t.Error("no script")
}

// What is said of a request that got through late, when its whole answer is there, has its method and path.
func TestLateRequestIsNamed(t *testing.T) {
	late := 0
	for _, s := range corpus(t) {
		for _, f := range run(s).Findings {
			if f.Lost || !f.Measures.Delay.Known || f.Request == nil || f.Rule != detect.PathLoss && f.Rule != detect.AcceptQueueOverflow {
				continue
			}
			if late++; f.Request.Method != "GET" || f.Request.Path == "" {
				t.Errorf("%s: %+v", s.Name, f.Request)
			}
		}
	}
	if late < 3 {
		t.Errorf("only %d", late)
	}
}

// Who watches is told it, too, be it after the finding.
func TestLBStoppedIsTold(t *testing.T) {
	told := map[int]string{}
	tell := func(f *detect.Finding) { told[f.ID] = f.Cause }
	for _, s := range corpus(t) {
		if s.Name == "lb-closed-with-request-outstanding-lb-stopped" {
			d := detect.New(detect.Options{Live: true, OnFinding: tell, OnUpdate: tell})
			segs := s.Segments()
			d.Segments(segs)
			d.Advance(segs[len(segs)-1].Time + 20*second)
		}
	}
	if len(told) != 2 {
		t.Errorf("%d findings", len(told))
	}
	for id, cause := range told {
		if !strings.Contains(cause, "it was stopped, restarted or killed") {
			t.Errorf("%d: %s", id, cause)
		}
	}
}
