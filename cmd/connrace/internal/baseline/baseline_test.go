package baseline

import (
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
)

const report = `{"schema":"connrace/1",
"captures":[{"path":"a","first":"2026-11-20T19:38:48.000000000Z","last":"2026-11-20T19:39:06.000000000Z"}],
"totals":{"frames":10,"requests":1000,"lost_requests":20,"findings":{"fin-request-crossing":20,"keepalive-mismatch":1}},
"targets":[{"target":"10.0.0.5:80","requests":1000,"idle_timeout":{"seconds":5.001,"samples":9},"lb_idle_timeout":null}],
"findings":[{"id":1,"evidence":[{"frame":1}]}],
"streams":[1,2],
"later":{"x":[]}}`

func TestLoad(t *testing.T) {
	lines := `{"type":"finding","id":1}` + "\n" + strings.Replace(report, "{", `{"type":"summary",`, 1)
	page := "<!doctype html><script>x</script><" + Element + report + EndElement + "<p>"
	for _, s := range []string{report, lines, "\n" + report + "\n", page} {
		r, err := Load(strings.NewReader(s))
		if err != nil {
			t.Fatal(err)
		}
		if r.Requests != 1000 || r.Lost != 20 || r.Findings["fin-request-crossing"] != 20 || len(r.Targets) != 1 ||
			r.Targets[0].Idle != 5.001 || r.Targets[0].LBIdle != 0 || r.First.Hour() != 19 || r.Last.Sub(r.First).Seconds() != 18 {
			t.Errorf("%+v", r)
		}
	}
	for s, want := range map[string]string{
		"":                             "no report of connrace in it",
		"frames: 12":                   "not a JSON report of connrace: invalid character",
		"[1]":                          "not a JSON report of connrace: it is no object",
		"{}":                           "not a JSON report of connrace: it names no schema",
		`{"schema":"connrace/2"}`:      `its schema is "connrace/2", not "connrace/1"`,
		`{"schema":"connrace/1"}`:      "it has no totals",
		`{"schema":7}`:                 "schema: ",
		report[:300]:                   "the report is cut off",
		report[:len(report)-1]:         "the report is cut off",
		`{"type":"finding"}`:           "no report of connrace in it",
		`{"totals":{"requests":-1}}`:   "totals: ",
		`{"targets":{"a":1}}`:          "targets: it is no list",
		`{"findings":[1,}`:             "not a JSON report of connrace",
		"<!doctype html><p>" + report:  "no report is in that page",
		page[:len(page)-30]:            "the report is cut off",
		"\xd4\xc3\xb2\xa1\x02\x00\x04": "not a JSON report of connrace",
	} {
		if _, err := Load(strings.NewReader(s)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", s, err, want)
		}
	}
}

func run(requests, lost uint64, findings string, targets ...Target) *Run {
	r := &Run{Requests: requests, Lost: lost, Findings: map[string]int{}, Targets: targets}
	for f := range strings.FieldsSeq(findings) {
		id, n, _ := strings.Cut(f, "=")
		var k int
		fmt.Sscan(n, &k)
		r.Findings[id] = k
	}
	return r
}

func TestCompare(t *testing.T) {
	five, raised := Target{Target: "a:1", Idle: 5, LBIdle: 0}, Target{Target: "a:1", Idle: 65, LBIdle: 60}
	for _, c := range []struct {
		before, after *Run
		want          []string
	}{
		{run(1000, 20, "x=20 keepalive-mismatch=1", five), run(5000, 0, "", raised), []string{
			"fixed", "The fix is in effect: 20 of 1,000 requests failed before (20 per thousand), none of 5,000 after; at the rate before it would have been about 100",
			"The idle timeout of a:1 went from 5 to 65 s, above the load balancer's 60 s.", "Gone: keepalive-mismatch (1), x (20).",
		}},
		{run(40000, 12, "x=12"), run(5000, 0, ""), []string{
			"unclear", "Not enough traffic to tell: 12 of 40,000 requests failed before (0.3 per thousand), none of 5,000 after, but at the rate before it would only have been 1.5; about 9,986 requests without a failure would do",
			"Gone, which may be chance: x (12).",
		}},
		{run(1000, 20, "x=20", five), run(1000, 5, "x=5", five), []string{
			"improved", "The fix is not in effect everywhere: better, but not gone: 20 of 1,000 requests failed before (20 per thousand), 5 of 1,000 after (5); that is no chance (p 0.004)",
			"The idle timeout of a:1 is 5 s as before.",
		}},
		{run(1000, 2, "x=2"), run(1000, 40, "x=2 y=38"), []string{
			"worse", "The fix is not in effect, it is worse: 2 of 1,000 requests failed before (2 per thousand), 40 of 1,000 after (40); that is no chance (p < 0.001)", "New: y (38).",
		}},
		{run(1000, 10, "x=10"), run(1000, 12, "x=12"), []string{
			"unclear", "The fix is not in effect: 10 of 1,000 requests failed before (10 per thousand), 12 of 1,000 after (12); the difference may be chance (p 0.832)",
		}},
		{run(10, 0, ""), run(20, 0, ""), []string{"none", "Nothing failed, neither of 10 requests before nor of 20 after"}},
		{run(10, 1, ""), run(0, 0, ""), []string{"unclear", "There is nothing to compare: 10 requests before, 0 after"}},
		{run(1000, 20, "", five), run(5000, 0, "", Target{Target: "b:1", Idle: 5.02, LBIdle: 60}), []string{
			"unclear", "Not enough traffic to tell: 20 of 1,000 requests failed before (20 per thousand), none of 5,000 after, but the target still closes idle connections before the load balancer does: the race stays possible",
			"No target is in both reports: compare only runs of the same service.",
			"The idle timeout of the targets is 5.02 s as before, not above the load balancer's 60 s: the race stays possible.",
		}},
	} {
		x := Compare("old.json", c.before, c.after)
		got := append([]string{x.Verdict.String(), x.Summary}, x.Details...)
		if g, w := strings.Join(got, "\n"), strings.Join(c.want, "\n"); g != w {
			t.Errorf("got\n%s\nwant\n%s", g, w)
		}
	}
}

// The four answers, and what they rest on.
func TestAnswers(t *testing.T) {
	at := func(idle, lb, longest float64, lost uint64) Target {
		return Target{Target: "a:1", Idle: idle, LBIdle: lb, Longest: longest, Lost: lost}
	}
	races := run(1000, 20, "fin-request-crossing=18 request-after-fin=2", at(5, 0, 4.99, 20))
	open := run(1000, 0, "syn-unanswered=31")
	open.Open = 31
	inHost, killed := run(1000, 18, "closed-with-request-outstanding=18", at(5, 0, 4.99, 18)), run(1000, 18, "fin-request-crossing=18")
	inHost.Kinds, killed.Kinds = map[string]int{Kind("closed-with-request-outstanding", "idle-timeout"): 18}, map[string]int{Kind("fin-request-crossing", "mass-close"): 18}
	for _, c := range []struct {
		name          string
		before, after *Run
		answer, text  string
	}{
		{"reused beyond the old timer", races, run(1000, 0, "", at(0, 60, 31, 0)), InEffect, "a request was answered after more than the 5 s idle"},
		{"the LB lets go first", races, run(1000, 0, "", at(0, 3, 2.9, 0)), InEffect, "the load balancer now closes after 3 s idle"},
		{"nothing is used again", races, run(1000, 0, "", at(0, 0, 0, 0)), InEffect, "no connection is used again"},
		{"no pauses", races, run(1000, 0, "", at(0, 0, 1.5, 0)), NotEnough, "again after more than the 5 s idle at which it closed before (1.5 s at most)"},
		{"too few", races, run(100, 0, "", at(0, 60, 31, 0)), NotEnough, "about 150 requests without a failure would do"},
		{"another target was sound", run(1000, 20, "fin-request-crossing=20", at(5, 0, 4.9, 0)), run(1000, 0, "", at(0, 0, 1, 0)), InEffect, "in effect"},
		{"still there", races, run(1000, 15, "request-after-fin=15", at(5, 0, 4.99, 15)), NotInEffect, "the difference may be chance"},
		{"better", races, run(10000, 30, "fin-request-crossing=30", at(5, 0, 4.99, 30)), NotInEffect, "not in effect everywhere"},
		{"another failure", races, run(1000, 64, "syn-dropped=64", at(0, 60, 31, 64)), Replaced, "Another failure has taken its place"},
		{"another, undecided", races, open, Replaced, "31 of them still undecided at the end"},
		{"the same timer, inside the host", races, inHost, NotInEffect, "not in effect"},
		{"the same rule, another cause", races, killed, Replaced, "of another kind"},
		{"mostly another", races, run(1000, 41, "fin-request-crossing=1 syn-dropped=40"), Replaced, "of another kind"},
		{"a warning is no failure", races, run(1000, 0, "keepalive-mismatch=1", at(7, 60, 31, 0)), NotEnough, "the race stays possible"},
		{"nothing failed", run(10, 0, ""), run(10, 3, "syn-dropped=3"), "", ""},
	} {
		if x := Compare("old.json", c.before, c.after); x.Answer != c.answer || !strings.Contains(x.Summary, c.text) {
			t.Errorf("%s: %q: %s; want %q: … %s …", c.name, x.Answer, x.Summary, c.answer, c.text)
		}
	}
}

// Figures of an exact test by other means: R's poisson.test, twice the smaller tail.
func TestProbability(t *testing.T) {
	for _, c := range []struct {
		x0, n0, x1, n1 uint64
		want           float64
	}{
		{0, 10, 0, 10, 1},
		{1, 10, 0, 10, 1},              // one of one: 2·1/2
		{5, 100, 0, 100, 2.0 / 32},     // (1/2)^5, twice
		{20, 1000, 0, 5000, 5.47e-16},  // (1/6)^20, twice
		{10, 1000, 12, 1000, 0.831812}, // 2·P(X >= 12 | 22, 1/2)
		{1 << 20, 1 << 30, 1 << 20, 1 << 30, 1},
	} {
		if got := probability(c.x0, c.n0, c.x1, c.n1); math.Abs(got-c.want) > 1e-3*c.want {
			t.Errorf("%+v: %g", c, got)
		}
	}
	// The approximation meets the exact sum.
	if a, b := probability(33000, 1e6, 32400, 1e6), probability(33000, 1e6, 32800, 1e6); math.Abs(a-0.0190) > 0.001 || math.Abs(b-0.437) > 0.01 {
		t.Errorf("%g, %g", a, b)
	}
}

func TestLoadBounded(t *testing.T) {
	for _, c := range []struct{ begin, fill, end, want string }{
		{"", " ", report, "a value of more than 100000 bytes"},
		{`{"schema":"connrace/1","x":"`, "x", `"}`, "a value of more than 100000 bytes"},
		{`{"schema":"connrace/1","findings":[`, "[", "", "exceeded max depth"},
		{`{"schema":"connrace/1","log":[0`, `,"` + strings.Repeat("x", 1000) + `"`, `],"totals":{"requests":7}}`, ""},
	} {
		in := io.MultiReader(strings.NewReader(c.begin), &repeat{c.fill, 1 << 20}, strings.NewReader(c.end))
		r, err := bounded(in, 100_000)
		if c.want == "" && (err != nil || r.Requests != 7) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%.40s… %q: %v, want %q", c.begin, c.fill, err, c.want)
		}
	}
}

// repeat reads a text again and again, at least n bytes.
type repeat struct {
	text string
	n    int
}

func (r *repeat) Read(b []byte) (n int, err error) {
	if r.n <= 0 {
		return 0, io.EOF
	}
	for len(b)-n >= len(r.text) {
		n += copy(b[n:], r.text)
	}
	r.n -= n
	return n, nil
}

func TestLoadMarked(t *testing.T) {
	if _, err := Load(strings.NewReader("\xef\xbb\xbf" + report)); err != nil {
		t.Error(err)
	}
	if _, err := Load(strings.NewReader("\xff\xfe{\x00")); err == nil || !strings.Contains(err.Error(), "UTF-16") {
		t.Error(err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(report)
	f.Add(`{"type":"finding"}{"schema":"connrace/1","totals":{"requests":18446744073709551615,"lost_requests":18446744073709551615,"findings":{"a":-5}},"targets":[{"idle_timeout":{"seconds":1e308}}]}`)
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := Load(strings.NewReader(s)); err == nil {
			Compare("x", r, r)
			Compare("x", r, run(10, 1, "x=1"))
		}
	})
}
