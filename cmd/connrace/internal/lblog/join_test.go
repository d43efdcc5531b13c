package lblog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"connrace/capture"
	"connrace/detect"
	"connrace/pcaps"
	"connrace/tcpstate"
)

// analysed is a real capture and what was found in it.
type analysed struct {
	pcaps.Real
	capture Capture
}

func analyse(t *testing.T, r pcaps.Real) analysed {
	t.Helper()
	data, err := pcaps.File(r.File)
	if err != nil {
		t.Fatal(err)
	}
	f, err := capture.NewFile(r.File, bytes.NewReader(data), capture.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, dec := detect.New(detect.Options{Exchanges: true}), capture.NewDecoder()
	frames, segs := make([]capture.Frame, 256), []tcpstate.Segment(nil)
	for {
		n, err := f.Read(frames)
		for i := range frames[:n] {
			segs = dec.Decode(&frames[i], segs[:0])
			for k := range segs {
				d.Segments(segs[k : k+1])
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	x := d.Finish()
	a := analysed{r, Capture{Targets: x.Targets, Exchanges: []*detect.Exchanges{x.Exchanges}}}
	a.capture.Spans = []Span{{f.Info().First, f.Info().Last}}
	for _, g := range x.Findings {
		a.capture.Findings = append(a.capture.Findings, Finding{g.ID, g})
	}
	return a
}

func reals(t *testing.T) []analysed {
	t.Helper()
	rs, err := pcaps.Reals()
	if err != nil {
		t.Fatal(err)
	}
	var out []analysed
	for _, r := range rs {
		out = append(out, analyse(t, r))
	}
	return out
}

func (a *analysed) join(t *testing.T, logs ...string) *Join {
	t.Helper()
	j := NewJoiner(a.capture, Unknown, time.UTC)
	for i, l := range logs {
		if err := j.Read(context.Background(), fmt.Sprint("log ", i), strings.NewReader(l)); err != nil {
			t.Fatal(err)
		}
	}
	return j.Finish()
}

// idOf is what identifies a request in the captures.
func idOf(path string) string {
	_, id, _ := strings.Cut(bare(path), "/r/")
	return id
}

// check holds a join against the truth: every failed request that is in the capture is
// explained, by a finding about that request if the capture shows its path.
func (a *analysed) check(t *testing.T, o *Join) {
	t.Helper()
	findings := map[int]Finding{}
	for _, f := range a.capture.Findings {
		findings[f.ID] = f
	}
	joined := map[string]Joined{}
	for _, e := range o.Joined {
		joined[idOf(e.Path)] = e
	}
	if o.Files[0].Kind == ApacheError && len(o.Files) == 1 { // which does not say which request
		if o.Explained != len(a.Failed) || len(o.Unexplained) > 0 {
			t.Errorf("%s: %d of %d explained", a.File, o.Explained, len(a.Failed))
		}
		return
	}
	explained := 0
	for _, q := range a.Failed {
		e, ok := joined[q.ID]
		if at := q.Time.UnixNano(); !ok && (at < a.capture.Spans[0].First || at > a.capture.Spans[0].Last) {
			continue // the capture is of a part
		}
		if !ok {
			t.Errorf("%s: %s (%s) is not explained", a.File, q.ID, q.Class)
			continue
		}
		explained++
		f := findings[e.Finding]
		if f.Request != nil && f.Request.Path != "" && idOf(f.Request.Path) != q.ID {
			t.Errorf("%s: %s is explained by finding #%d about %s", a.File, q.ID, f.ID, f.Request.Path)
		}
		if !slices.Contains(q.Rules, f.Rule.ID) {
			t.Errorf("%s: %s (%s) is explained by %s", a.File, q.ID, q.Class, f.Rule.ID)
		}
		if q.Port != 0 && f.LB.Port != q.Port && !slices.ContainsFunc(e.Among, func(id int) bool { return findings[id].LB.Port == q.Port }) {
			t.Errorf("%s: %s of port %d is explained by finding #%d of port %d among %v", a.File, q.ID, q.Port, f.ID, f.LB.Port, e.Among)
		}
	}
	if o.Explained != explained {
		t.Errorf("%s: %d explained, %d of them failed by the truth", a.File, o.Explained, explained)
	}
	if o.Failed != o.Explained+len(o.Unexplained)+o.OutsideCapture+o.Omitted {
		t.Errorf("%s: %d failed, but %d explained, %d not, %d outside", a.File, o.Failed, o.Explained, len(o.Unexplained), o.OutsideCapture)
	}
}

func TestRealLogs(t *testing.T) {
	with := 0
	for _, a := range reals(t) {
		var all []string
		for _, name := range a.Logs {
			with++
			log, err := pcaps.File(name)
			if err != nil {
				t.Fatal(err)
			}
			a.check(t, a.join(t, string(log)))
			all = append(all, string(log))
		}
		if len(all) > 1 {
			both := a.join(t, all...)
			a.check(t, both)
			if both.Failed != len(a.Failed) || both.Merged != len(a.Failed) {
				t.Errorf("%s: nginx's two logs together have %d failed requests, %d in both; %d did fail", a.File, both.Failed, both.Merged, len(a.Failed))
			}
		}
		if len(a.Failed) == 0 || slices.ContainsFunc(a.capture.Findings, func(f Finding) bool {
			return f.Request != nil && f.Request.Path != "" && idOf(f.Request.Path) == ""
		}) {
			continue // its requests are not those of the log that is made up
		}
		a.check(t, a.join(t, albLog(&a.Real, true)))
		a.check(t, a.join(t, albLog(&a.Real, false)))
	}
	if with < 3 {
		t.Errorf("only %d logs of load balancers", with)
	}
}

// blind are findings as a capture of TLS gives them: without a word of the requests.
func blind(fs []Finding) []Finding {
	var out []Finding
	for _, f := range fs {
		g := *f.Finding
		if g.Request != nil {
			g.Request = &detect.Request{Frame: g.Request.Frame, Time: g.Request.Time, Bytes: g.Request.Bytes}
		}
		out = append(out, Finding{f.ID, &g})
	}
	return out
}

// By time alone every entry is explained as well, and where it is not certain by which
// finding, the right one is among those that are named, unless there are more than are named.
func TestByTimeAlone(t *testing.T) {
	checked := 0
	for _, a := range reals(t) {
		about := map[string]int{} // findings by request
		for _, f := range a.capture.Findings {
			if f.Request != nil && f.Request.Path != "" {
				about[idOf(f.Request.Path)] = f.ID
			}
		}
		a.capture.Findings = blind(a.capture.Findings)
		logs := []string{albLog(&a.Real, false)}
		for _, name := range a.Logs {
			log, _ := pcaps.File(name)
			logs = append(logs, string(log))
		}
		for _, l := range logs {
			if l == "" {
				continue
			}
			for _, e := range a.join(t, l).Joined {
				want := about[idOf(e.Path)]
				if want == 0 {
					continue
				}
				checked++
				if e.By < ByPort || e.Finding != want && !slices.Contains(e.Among, want) && len(e.Among) <= maxAmong {
					t.Errorf("%s: %s by %s: finding #%d among %v, want #%d", a.File, e.Path, e.By, e.Finding, e.Among, want)
				}
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d entries checked", checked)
	}
}

// Far clocks are told apart by ids, and then all entries are joined.
func TestClockOffset(t *testing.T) {
	for _, a := range reals(t) {
		if a.File != "nginx-node-race.pcap" {
			continue
		}
		r := a.Real
		r.Failed = slices.Clone(r.Failed)
		for i := range r.Failed {
			r.Failed[i].Time = r.Failed[i].Time.Add(90 * time.Second)
		}
		log := albLog(&r, true)
		half := strings.Replace(log, "Root=1-5c6a1234-000000000000000000635424", "-", 1)
		if log == half {
			t.Fatal("no such id")
		}
		o := a.join(t, half)
		if o.Explained != len(r.Failed) || o.Offset.Round(time.Second) != 90*time.Second {
			t.Errorf("%d explained, offset %s", o.Explained, o.Offset)
		}
		if len(o.Notes) != 1 || !strings.Contains(o.Notes[0], "ahead of the capture's") {
			t.Errorf("notes %q", o.Notes)
		}
	}
}

// try1 makes a finding.
func try1(id int, rule *detect.Rule, at time.Time, path, trace string) Finding {
	f := &detect.Finding{Rule: rule, Severity: detect.Error, Lost: true, HasStream: true, Time: at.UnixNano(), Target: ep("10.0.0.5:80"), LB: ep(fmt.Sprintf("10.0.0.1:%d", 40000+id))}
	f.Request = &detect.Request{Frame: uint64(id), Time: at.UnixNano(), Method: "GET", Path: path, TraceID: trace}
	f.Evidence = []detect.Evidence{{Frame: uint64(id), Time: at.UnixNano(), Role: detect.RoleFIN}}
	return Finding{id, f}
}

func ep(s string) endpoint {
	e, _ := parseEndpoint(s)
	return e
}

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func around(fs ...Finding) Capture {
	return Capture{Spans: []Span{{noon.Add(-time.Minute).UnixNano(), noon.Add(time.Minute).UnixNano()}}, Findings: fs}
}

func haproxyEntry(at time.Time, ms int, rest string) string {
	return fmt.Sprintf("10.9.9.9:1 [%s] f b/s 0/0/0/-1/%d 502 209 - - SH-- 1/1/0/0/%s\n", at.Format(haproxyTime), ms, rest)
}

func TestKeys(t *testing.T) {
	trace := func(n int) string { return fmt.Sprintf("Root=1-5c6a1234-%024d", n) }
	for _, c := range []struct {
		name     string
		findings []Finding
		log      string
		want     string
	}{
		{
			"a trace id goes before the path",
			[]Finding{
				try1(1, detect.FINRequestCrossing, noon, "/a", trace(1)), try1(2, detect.FINRequestCrossing, noon, "/a", trace(2)),
			},
			haproxyEntry(noon, 1, `0 0/0 {`+trace(2)+`} "GET /a HTTP/1.1"`), "line 1: #2 by trace-id",
		},
		{
			"the port decides where the path is the same",
			[]Finding{
				try1(1, detect.FINRequestCrossing, noon, "/a", ""), try1(2, detect.FINRequestCrossing, noon, "/a", ""),
			},
			haproxyEntry(noon, 1, `0 0/0 "GET /a HTTP/1.1" 10.0.0.1:40002`), "line 1: #2 by port",
		},
		{
			"the port was reused for another request",
			[]Finding{try1(1, detect.FINRequestCrossing, noon, "/other", "")},
			haproxyEntry(noon, 1, `0 0/0 "GET /a HTTP/1.1" 10.0.0.1:40001`), "line 1: nothing-failed",
		},
		{
			"two of a path at once cannot be told apart",
			[]Finding{
				try1(1, detect.FINRequestCrossing, noon, "/a", ""), try1(2, detect.FINRequestCrossing, noon.Add(5*time.Millisecond), "/a", ""),
			},
			haproxyEntry(noon, 1, `0 0/0 "GET /a HTTP/1.1"`) + haproxyEntry(noon.Add(5*time.Millisecond), 1, `0 0/0 "GET /a HTTP/1.1"`),
			"line 1: #1 by path among [1 2]; line 2: #2 by path among [1 2]",
		},
		{
			"two of a path, well apart",
			[]Finding{
				try1(1, detect.FINRequestCrossing, noon, "/a", ""), try1(2, detect.FINRequestCrossing, noon.Add(time.Second), "/a", ""),
			},
			haproxyEntry(noon.Add(time.Second), 1, `0 0/0 "GET /a HTTP/1.1"`) + haproxyEntry(noon, 1, `0 0/0 "GET /a HTTP/1.1"`),
			"line 2: #1 by path; line 1: #2 by path",
		},
		{
			"more entries than findings",
			[]Finding{try1(1, detect.FINRequestCrossing, noon, "/a", "")},
			haproxyEntry(noon, 1, `0 0/0 "GET /a HTTP/1.1"`) + haproxyEntry(noon.Add(time.Millisecond), 1, `0 0/0 "GET /a HTTP/1.1"`),
			"line 1: #1 by path; line 2: contested",
		},
		{
			"another path is another request",
			[]Finding{try1(1, detect.FINRequestCrossing, noon, "/a", "")},
			haproxyEntry(noon, 1, `0 0/0 "GET /b HTTP/1.1"`), "line 1: nothing-failed",
		},
		{
			"another method, too",
			[]Finding{try1(1, detect.FINRequestCrossing, noon, "/a", "")},
			haproxyEntry(noon, 1, `0 0/0 "POST /a HTTP/1.1"`), "line 1: nothing-failed",
		},
		{
			"a prefix that the proxy cuts off",
			[]Finding{try1(1, detect.FINRequestCrossing, noon, "/v1/a?x=1", "")},
			haproxyEntry(noon, 1, `0 0/0 "GET /api/v1/a?x=1 HTTP/1.1"`), "line 1: #1 by time",
		},
		{
			"a log without query strings",
			[]Finding{try1(1, detect.FINRequestCrossing, noon, "/v1/a?x=1", "")},
			haproxyEntry(noon, 1, `0 0/0 "GET /v1/a HTTP/1.1"`), "line 1: #1 by path",
		},
		{
			"too long ago",
			[]Finding{try1(1, detect.FINRequestCrossing, noon.Add(-20*time.Second), "/a", "")},
			haproxyEntry(noon, 1, `0 0/0 "GET /a HTTP/1.1"`), "line 1: nothing-failed",
		},
		{
			"a closed connection is no refused one",
			[]Finding{try1(1, detect.ConnectionRefused, noon, "", "")},
			haproxyEntry(noon, 1, `0 0/0 "GET /a HTTP/1.1"`), "line 1: nothing-failed",
		},
		{
			"two tries of one request",
			[]Finding{
				try1(1, detect.FINRequestCrossing, noon, "/a", trace(7)), try1(2, detect.RequestAfterFIN, noon.Add(50*time.Millisecond), "/a", trace(7)),
			},
			haproxyEntry(noon, 60, `1 0/0 {`+trace(7)+`} "GET /a HTTP/1.1"`), "line 1: #2 by trace-id after [1]",
		},
	} {
		a := analysed{capture: around(c.findings...)}
		o := a.join(t, c.log)
		var got []string
		for _, e := range o.Joined {
			s := fmt.Sprintf("line %d: #%d by %s", e.Line, e.Finding, e.By)
			if e.Among != nil {
				s += fmt.Sprintf(" among %v", e.Among)
			}
			if e.Tries != nil {
				s += fmt.Sprintf(" after %v", e.Tries)
			}
			got = append(got, s)
		}
		for _, u := range o.Unexplained {
			got = append(got, fmt.Sprintf("line %d: %s", u.Line, u.Reason))
		}
		if g := strings.Join(got, "; "); g != c.want {
			t.Errorf("%s: %s, want %s", c.name, g, c.want)
		}
	}
}

func TestReasons(t *testing.T) {
	x := &detect.Exchanges{
		Errors: []detect.ServerError{{
			Target: ep("10.0.0.5:80"), Stream: 4, Frame: 61, Time: noon.UnixNano(), Status: 503,
			Request: detect.Request{Method: "GET", Path: "/busy?x=1"},
		}},
		Seconds: map[endpoint][]uint32{ep("10.0.0.5:80"): {uint32(noon.Unix())}},
	}
	c := around()
	c.Exchanges = []*detect.Exchanges{x}
	line := func(at time.Time, target, status, targetStatus, path string) string {
		s := at.Format("2006-01-02T15:04:05.000000Z")
		return fmt.Sprintf("http %s app/lb/1 1.2.3.4:5 %s -1 -1 -1 %s %s 0 0 \"GET http://h:80%s HTTP/1.1\" \"-\" - - arn:x \"-\" \"-\" \"-\" 0 %s \"forward\" \"-\" \"-\" \"-\" \"-\"\n",
			s, target, status, targetStatus, path, s)
	}
	for _, k := range []struct{ log, want string }{
		{line(noon, "10.0.0.5:80", "503", "503", "/busy?x=1"), "target-answered: the target itself answered 503 (frame 61, stream 4)"},
		{line(noon, "10.0.0.5:80", "503", "-", "/busy?x=1"), "target-answered: the target itself answered 503 (frame 61, stream 4)"},
		{line(noon, "10.0.0.5:80", "502", "502", "/x"), "target-answered: the target itself answered 502 (target_status_code)"},
		{line(noon, "-", "503", "-", "/x"), "not-on-the-wire: the load balancer had no target to send it to: none registered or none healthy"},
		{line(noon, "10.0.0.5:80", "502", "-", "/x"), "nothing-failed: other exchanges went on at that moment and none failed: the request did not come by here, or nothing went wrong on the wire; the request could not be sent: the target refused or reset the connection, or closed it just then (request_processing_time -1)"},
		{line(noon.Add(30*time.Second), "10.0.0.5:80", "502", "-", "/x"), "no-packet: the capture shows no request and no new connection to 10.0.0.5:80 at that moment"},
		{line(noon, "10.0.0.6:80", "502", "-", "/x"), "no-packet: the capture shows no connection to 10.0.0.6:80 at all"},
		{line(noon, "10.0.0.5:80", "460", "-", "/x"), "client-left: the client went away first"},
		{line(noon.Add(-59500*time.Millisecond), "10.0.0.5:80", "502", "-", "/x"), "edge-of-capture: the capture begins or ends within a second of it: what came of it may lie outside"},
		{line(noon.Add(-70*time.Second), "10.0.0.5:80", "502", "-", "/x"), "outside"},
		{line(noon.Add(-time.Hour), "10.0.0.5:80", "502", "-", "/x"), "outside"},
	} {
		o := (&analysed{capture: c}).join(t, k.log)
		got := "outside"
		if len(o.Unexplained) == 1 {
			got = fmt.Sprintf("%s: %s", o.Unexplained[0].Reason, o.Unexplained[0].Why)
		} else if o.OutsideCapture != 1 {
			t.Errorf("%+v", o)
		}
		if got != k.want {
			t.Errorf("got  %s\nwant %s", got, k.want)
		}
	}
}

// What a log claims and neither end of the path has, the load balancer never sent. Where an end did
// not look, or somebody else was at it, that is not said.
func TestNeverSent(t *testing.T) {
	target, at := ep("10.0.0.5:80"), func(d time.Duration) uint32 { return uint32(noon.Add(d).Unix()) }
	entry := func(when time.Time, path string) string {
		return fmt.Sprintf("%s [error] 1#1: *2 upstream prematurely closed connection while reading response header from upstream, client: 1.2.3.4, server: , request: \"GET %[2]s HTTP/1.1\", upstream: \"http://10.0.0.5:80%[2]s\"\n",
			when.Format(nginxTime), path)
	}
	whole := []Span{{noon.Add(-time.Hour).UnixNano(), noon.Add(time.Hour).UnixNano()}}
	for _, c := range []struct {
		name   string
		change func(*Capture)
		log    string
		want   Reason
	}{
		{"nothing at either end", func(*Capture) {}, "/ghost", NeverSent},
		{"the target's end has one, by its clock", func(c *Capture) {
			c.BothEnds[0].Active[target] = []uint32{at(0), at(5*time.Minute + 3*time.Second)}
		}, "/ghost", NoPacket},
		{"it may have been sent a while ago", func(c *Capture) {
			c.Exchanges[0].Seconds[target] = []uint32{at(0), at(4 * time.Minute)}
		}, "/ghost", NoPacket},
		{"the target's capture begins later", func(c *Capture) {
			c.BothEnds[0].AtTarget = []Span{{noon.Add(4 * time.Minute).UnixNano(), whole[0].Last}}
		}, "/ghost", NoPacket},
		{"the target is no other time in the capture", func(c *Capture) { c.BothEnds[0].Active = nil }, "/ghost", NoPacket},
		{"no entry shows whose clock it is", func(c *Capture) { c.Findings = nil }, "/ghost", NoPacket},
		{"one end alone", func(c *Capture) { c.BothEnds = nil }, "/ghost", NoPacket},
	} {
		x := around(try1(1, detect.FINRequestCrossing, noon, "/a", ""))
		x.Spans = whole
		x.Exchanges = []*detect.Exchanges{{Seconds: map[endpoint][]uint32{target: {at(0)}}}}
		x.BothEnds = []BothEnds{{
			LB: "lb.pcap", Target: "target.pcap", AtLB: whole, AtTarget: whole, Ahead: 3e9, Active: map[endpoint][]uint32{target: {at(3 * time.Second)}},
		}}
		c.change(&x)
		o := (&analysed{capture: x}).join(t, entry(noon, "/a")+entry(noon.Add(5*time.Minute), c.log))
		u := o.Unexplained
		if len(u) == 0 || u[len(u)-1].Reason != c.want {
			t.Errorf("%s: %+v", c.name, u)
		} else if c.want == NeverSent && u[0].Why != "the load balancer never sent what its log claims: in the 132 s before it neither lb.pcap nor target.pcap has a request or a new connection to 10.0.0.5:80" {
			t.Errorf("%s: %s", c.name, u[0].Why)
		}
	}
}

func TestZoneHint(t *testing.T) {
	log := fmt.Sprintf("%s [error] 1#1: *2 upstream prematurely closed connection while reading response header from upstream, client: 1.2.3.4, server: , request: \"GET /a HTTP/1.1\", upstream: \"http://10.0.0.5:80/a\"\n",
		noon.Add(5*time.Hour+30*time.Minute).Format(nginxTime))
	a := analysed{capture: around(try1(1, detect.FINRequestCrossing, noon, "/a", ""))}
	o := a.join(t, log)
	if o.OutsideCapture != 1 || len(o.Notes) != 1 || !strings.Contains(o.Notes[0], "--log-zone +05:30") {
		t.Errorf("%+v", o)
	}
}
