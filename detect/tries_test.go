package detect

import (
	"testing"

	"connrace/tcpstate"
)

// A wait is the LB's, or its clients', by its length and by that of others.
func TestGradeWait(t *testing.T) {
	ms := func(n int64) int64 { return n * millisecond }
	for _, tt := range []struct {
		name  string
		waits []int64
		want  Tries
	}{
		{"alone", []int64{ms(17321)}, Tries{LostRequests: 1}},
		{"round", []int64{ms(5000), ms(17321)}, Tries{LostRequests: 2}},
		{"varies", []int64{ms(17321), ms(2123), ms(7777)}, Tries{ClientAborts: 3}},
		{"shorter than any that is set", []int64{ms(1)}, Tries{ClientAborts: 1}},
		{"twice the same", []int64{ms(329), ms(330)}, Tries{LostRequests: 2}},
		{"alike by chance", []int64{ms(1365), ms(152), ms(379), ms(771), ms(1355), ms(1373)}, Tries{ClientAborts: 6}},
		{"often the same", []int64{ms(701), ms(152), ms(703), ms(379), ms(700), ms(1771), ms(702)}, Tries{LostRequests: 4, ClientAborts: 3}},
		{"a clock looked at once a second", []int64{ms(5856), ms(5940), ms(5315)}, Tries{LostRequests: 3}},
		{"so, and clients", []int64{ms(5856), ms(612), ms(5940), ms(5315), ms(1371)}, Tries{LostRequests: 3, ClientAborts: 2}},
		{"late now and then", []int64{ms(1000), ms(1001), ms(1020), ms(1002), ms(982), ms(1000)}, Tries{LostRequests: 6}},
		{"round, and clearly exceeded", []int64{ms(1000), ms(3123), ms(2777), ms(4211)}, Tries{LostRequests: 1, ClientAborts: 3}},
		{"varies, then twice the same", []int64{ms(17321), ms(2123), ms(2124)}, Tries{LostRequests: 2, ClientAborts: 1}},
	} {
		d := New(Options{})
		target := d.targets.at(tcpstate.Endpoint{Port: 80})
		for i, w := range tt.waits {
			f := &Finding{Time: int64(i) * second, Rule: LBClosedWithRequestOutstanding, Severity: Warning, Lost: true, Request: &Request{}, Summary: "the LB gave up"}
			f.Measures.Outstanding = Duration{w, true}
			if round(w) {
				f.Severity = Error
			}
			p := &pending{f: f, t: target}
			d.gradeWait(p)
			d.emit(p)
		}
		if d.totals.Tries != tt.want || target.tries != tt.want {
			t.Errorf("%s: %+v, of the target %+v; want %+v", tt.name, d.totals.Tries, target.tries, tt.want)
		}
	}
}

// Waits that began together and ended together are one event, which repeats nothing; so at other times they do.
func TestWaitsOfOneEvent(t *testing.T) {
	for _, tt := range []struct {
		apart int64
		want  Severity
	}{{millisecond, Warning}, {second, Error}} {
		d := New(Options{})
		target := d.targets.at(tcpstate.Endpoint{Port: 80})
		for i := range 5 {
			f := &Finding{Time: 10*second + int64(i)*tt.apart, Rule: LBClosedWithRequestOutstanding, Severity: Warning, Lost: true, Request: &Request{}}
			f.Measures.Outstanding = Duration{2391 * millisecond, true}
			p := &pending{f: f, t: target}
			d.gradeWait(p)
			d.emit(p)
		}
		for _, p := range d.settled {
			if p.f.Severity != tt.want || !p.f.Lost {
				t.Errorf("%d ns apart: %v, lost %v; want %v", tt.apart, p.f.Severity, p.f.Lost, tt.want)
			}
		}
	}
}
