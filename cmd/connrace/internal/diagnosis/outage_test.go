package diagnosis

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"connrace/detect"
	"connrace/tcpstate"
)

func TestOutages(t *testing.T) {
	id := 0
	at := func(seconds int, r *detect.Rule, s detect.Severity, lb, target byte, port uint16) *detect.Finding {
		id++
		return &detect.Finding{
			ID: id, Rule: r, Severity: s, Time: int64(seconds) * int64(time.Second), Lost: s == detect.Error,
			LB: tcpstate.Endpoint{Addr: tcpstate.Addr4([]byte{10, 0, 0, lb}), Port: uint16(40000 + id)}, Target: tcpstate.Endpoint{Addr: tcpstate.Addr4([]byte{10, 0, 1, target}), Port: port},
		}
	}
	refused := func(seconds int, lb, target byte, port uint16) *detect.Finding {
		return at(seconds, detect.ConnectionRefused, detect.Error, lb, target, port)
	}
	syn := func(seconds int, target byte, port uint16, dead bool) *detect.Finding {
		f := at(seconds, detect.SYNUnanswered, detect.Error, 1, target, port)
		f.Dead = dead
		return f
	}
	stale := func(seconds int, target byte, attempts int, rst string) *detect.Finding {
		f := at(seconds, detect.StaleConnection, detect.Error, 1, target, 80)
		f.Measures.Attempts, f.Measures.RST = attempts, rst
		return f
	}
	open := syn(3, 7, 81, true)
	open.Open, open.Lost = true, false
	for _, tt := range []struct {
		name string
		fs   []*detect.Finding
		want []string
	}{
		{"two are none", []*detect.Finding{refused(0, 1, 1, 80), refused(1, 1, 1, 80)}, nil},
		{"a port that refuses everybody", []*detect.Finding{refused(2, 1, 1, 80), refused(0, 2, 1, 80), refused(1, 1, 1, 80), refused(3, 1, 1, 81)}, []string{
			"10.0.1.1:80 [10.0.0.1 10.0.0.2] 3 findings, 3 failed, 0 open, error, 0 to 2 s [3 × Connection refused]",
		}},
		{"it is over, and begins again", []*detect.Finding{
			refused(0, 1, 1, 80), refused(1, 1, 1, 80), refused(2, 1, 1, 80), refused(303, 1, 1, 80), refused(304, 1, 1, 80), refused(500, 1, 1, 80),
		}, []string{
			"10.0.1.1:80 [10.0.0.1] 3 findings, 3 failed, 0 open, error, 0 to 2 s [3 × Connection refused]",
			"10.0.1.1:80 [10.0.0.1] 3 findings, 3 failed, 0 open, error, 303 to 500 s [3 × Connection refused]",
		}},
		{"a queue", []*detect.Finding{
			at(0, detect.SYNDropped, detect.Warning, 1, 1, 80), at(1, detect.AcceptQueueOverflow, detect.Error, 1, 1, 80), at(2, detect.SYNDropped, detect.Warning, 1, 1, 80),
		}, []string{"10.0.1.1:80 [10.0.0.1] 3 findings, 1 failed, 0 open, error, 0 to 2 s [1 × Accept queue full at the last ACK 2 × SYN dropped: the listen queue looks full]"}},
		{"a dead host, with all that was sent to it in vain", []*detect.Finding{
			stale(0, 7, 4, ""), stale(1, 7, 1, "reply"), stale(1, 8, 4, ""), syn(2, 7, 80, false), open, syn(4, 7, 80, false), stale(100, 7, 4, ""),
		}, []string{"10.0.1.7 [10.0.0.1] 4 findings, 3 failed, 1 open, error, 0 to 4 s [1 × Request on a connection that was gone 3 × SYN unanswered]"}},
		{"SYNs to a host of which more is not known", []*detect.Finding{stale(0, 7, 4, ""), syn(2, 7, 80, false), syn(3, 7, 82, false), syn(4, 7, 80, false)}, []string{
			"10.0.1.7 [10.0.0.1] 3 findings, 3 failed, 0 open, error, 2 to 4 s [3 × SYN unanswered]",
		}},
		{"requests, each lost by itself", []*detect.Finding{stale(0, 7, 1, "reply"), stale(1, 7, 1, "reply"), stale(2, 7, 1, "reply")}, nil},
		{"somebody who only looks", []*detect.Finding{
			at(0, detect.TLSHandshakeFailed, detect.Info, 5, 1, 80), at(1, detect.TLSHandshakeFailed, detect.Info, 5, 1, 80), at(2, detect.TLSHandshakeFailed, detect.Info, 5, 1, 80),
			at(2, detect.TLSHandshakeFailed, detect.Info, 6, 1, 80),
		}, []string{"10.0.1.1:80 [10.0.0.5] 3 findings, 0 failed, 0 open, info, 0 to 2 s [3 × " + detect.TLSHandshakeFailed.Title + "]"}},
	} {
		var got []string
		for _, o := range Outages(tt.fs) {
			var what []string
			for _, c := range o.Counts {
				what = append(what, c.Text())
			}
			s := int64(time.Second)
			got = append(got, fmt.Sprintf("%s %v %d findings, %d failed, %d open, %s, %d to %d s %v", o.At, o.LBs, len(o.Findings), o.Failed(), o.OpenTries, o.Severity, o.First/s, o.Last/s, what))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s:\n%q\nwant\n%q", tt.name, got, tt.want)
		}
	}
}
