package detect

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFixFollowsCause(t *testing.T) {
	s := int64(time.Second)
	for _, tt := range []struct {
		name   string
		rule   *Rule
		cause  string
		timers Timers
		want   []string // of the fix
		not    []string
		why    string // of the cause
	}{
		{"numbers known", FINRequestCrossing, CloseIdleTimeout, Timers{Target: 5001874000, LB: 60 * s}, []string{"which fires after 5 s,", "(60 s)", "65 s or more"}, nil, "timer (5 s) fired while the load balancer"},
		{"LB not known", FINRequestCrossing, CloseIdleTimeout, Timers{Target: 5 * s, LB: 0}, []string{"which fires after 5 s,", "75 s (an ALB's is 60 s)"}, []string{"timeout (0"}, "timer (5 s)"},
		{"nothing known", RequestAfterFIN, CloseIdleTimeout, Timers{}, []string{"keep-alive timeout above"}, []string{"()", "0 s now"}, "timer fired"},
		{"an hour", FINRequestCrossing, CloseIdleTimeout, Timers{Target: 75 * s, LB: 3600 * s}, []string{"(3600 s)", "3605 s or more"}, nil, "75 s"},
		{"HAProxy", FINRequestCrossing, CloseIdleTimeout, Timers{Target: 5 * s, Purges: true}, []string{"to 75 s or more", "longer than the load balancer keeps idle connections"}, nil, "5 s"},
		{"HAProxy, measured", FINRequestCrossing, CloseIdleTimeout, Timers{Target: 5 * s, LB: 120 * s, Purges: true}, []string{"(120 s), to 125 s or more"}, []string{"HAProxy"}, "5 s"},
		{"fractions", FINRequestCrossing, CloseIdleTimeout, Timers{Target: 1510 * s / 1000, LB: 2 * s}, []string{"which fires after 1.5 s,", "to 7 s"}, nil, "1.5 s"},
		{"race in the host", ClosedWithRequestOutstanding, CloseIdleTimeout, Timers{Target: 5 * s, LB: 0}, []string{"fires after 5 s"}, nil, "just as a request arrived"},
		{"deploy", FINRequestCrossing, CloseMass, Timers{Target: 5 * s, LB: 60 * s}, []string{"deregistration_delay.timeout_seconds", "preStop"}, []string{"65 s"}, "restart"},
		{"deploy, cut short", ResponseTruncated, CloseMass, Timers{}, []string{"deregistration_delay.timeout_seconds"}, nil, "restart"},
		{"gunicorn", FINRequestCrossing, CloseOverdueBatch, Timers{Target: 2 * s, LB: 60 * s}, []string{"--keep-alive", "65 s or more"}, nil, "sweep"},
		{"uWSGI", RequestAfterFIN, CloseAfterResponse, Timers{}, []string{"http-keepalive", "Connection: close"}, nil, "without announcing"},
		{"unknown", FINRequestCrossing, CloseUnknown, Timers{}, []string{"log", "--max-requests"}, nil, "do not show"},
		{"unknown, worker", ClosedWithRequestOutstanding, CloseUnknown, Timers{}, []string{ClosedWithRequestOutstanding.Fix}, nil, "do not show"},
		{"no close", StaleConnection, "", Timers{}, []string{StaleConnection.Fix}, nil, StaleConnection.Cause},
		{"none given", FINRequestCrossing, "", Timers{}, []string{FINRequestCrossing.Fix}, nil, FINRequestCrossing.Cause},
		{"not about closes", LBClosedWithRequestOutstanding, CloseIdleTimeout, Timers{}, []string{LBClosedWithRequestOutstanding.Fix}, nil, LBClosedWithRequestOutstanding.Cause},
	} {
		cause := CauseOf(tt.cause)
		fix := cause.fixFor(tt.rule, tt.timers)
		for _, w := range tt.want {
			if !strings.Contains(fix, w) {
				t.Errorf("%s: the fix lacks %q: %s", tt.name, w, fix)
			}
		}
		for _, w := range tt.not {
			if strings.Contains(fix, w) {
				t.Errorf("%s: the fix says %q: %s", tt.name, w, fix)
			}
		}
		if why := cause.causeFor(tt.rule, tt.timers); !strings.Contains(why, tt.why) {
			t.Errorf("%s: the cause lacks %q: %s", tt.name, tt.why, why)
		}
	}
}

// Each cause says how it shows and what to change, whatever is known; what is not known leaves no
// gap in its texts.
func TestCausesSay(t *testing.T) {
	for _, id := range CauseIDs() {
		if c := CauseOf(id); c.How == "" || !strings.HasSuffix(c.How, ".") {
			t.Errorf("%s does not say how it shows: %q", id, c.How)
		}
		if page := CauseOf(id).Page(Fit{}); strings.Contains(page, " ,") || strings.Contains(page, "(0 s") || strings.Contains(page, "about  ") {
			t.Errorf("%s has a gap:\n%s", id, page)
		}
	}
	for _, c := range CloseCauses {
		if c.Label == "" || c.Trigger == "" || c.shows == nil || c.cause == nil || c.fix == nil || !c.KeepAlive && c.ID != CloseUnknown && c.Timer.Head == "" {
			t.Errorf("%s is not whole: %+v", c.ID, c)
		}
	}
	if basis, ok := CloseCauses[len(CloseCauses)-1].shows(&theClose{}, nil); !ok || basis != "" {
		t.Error("the last cause does not fit all")
	}
}

// What ends a worker after a number of requests is no advice where a time limit ended it.
func TestLimitKnobs(t *testing.T) {
	has := func(ks []Knob) bool {
		return slices.ContainsFunc(ks, func(k Knob) bool { return k.Software == "gunicorn" && strings.Contains(k.Line, "--max-requests") })
	}
	if has(CauseOf(CloseRequestTimeout).Knobs) || !has(CauseOf(CloseUnknown).Knobs) || !has(ClosedWithRequestOutstanding.Servers) {
		t.Error("--max-requests is with what it does not belong to, or is missing")
	}
}

// TestCauseWord: what documents say of a cause is read as the same one again, and mass closes of both kinds are told
// by one word.
func TestCauseWord(t *testing.T) {
	for _, id := range CauseIDs() {
		word, kept := CauseWord(id)
		if got := CauseFrom(word, kept); got != id {
			t.Errorf("%s: %s %v is %s", id, word, kept, got)
		}
	}
	if word, kept := CauseWord(ClosePartial); word != CloseMass || !kept {
		t.Errorf("%s %v", word, kept)
	}
}
