package detect_test

import (
	"fmt"
	"testing"

	"connrace/detect"
	"connrace/pcaps"
	"connrace/tcpstate"
)

const (
	millisecond = int64(1e6)
	second      = int64(1e9)
)

// options are the conditions that a script names.
func options(s *pcaps.Script) detect.Options {
	return detect.Options{
		LBIdleTimeout: int64(s.Options.LBIdleTimeout),
		IsTarget:      among(s, s.Options.Targets), IsLB: among(s, s.Options.LBs),
	}
}

// A live analysis of what was captured finds the same: it is bounded, and time passes
// without segments, but that changes nothing.
func TestLiveEqualsOffline(t *testing.T) {
	for _, s := range corpus(t) {
		o := options(s)
		o.Live = true
		d := detect.New(o)
		segs := s.Segments()
		for i := range segs {
			for at := segs[max(i, 1)-1].Time; at < segs[i].Time-150*millisecond; at += 100 * millisecond {
				d.Advance(at)
			}
			d.Segments(segs[i : i+1])
		}
		if got, want := rules(d.Finish(), nil), rules(run(s), nil); got != want {
			t.Errorf("%s:\nlive    %s\noffline %s", s.Name, got, want)
		}
	}
}

// A clock that is set in the middle of a capture changes nothing but times of day.
func TestShift(t *testing.T) {
	for _, s := range corpus(t) {
		want := rules(run(s), nil)
		for _, by := range []int64{-3600 * second, 7 * second, 3600 * second} {
			d := detect.New(options(s))
			segs := s.Segments()
			for i := range segs {
				if i == len(segs)/2 {
					d.Shift(by)
				}
				if i >= len(segs)/2 {
					segs[i].Time += by
				}
				d.Segments(segs[i : i+1])
			}
			if got := rules(d.Finish(), nil); got != want {
				t.Errorf("%s, shifted by %d s:\nfound  %s\nwanted %s", s.Name, by/second, got, want)
			}
		}
	}
}

// traffic makes segments, a millisecond apart.
type traffic struct {
	d   *detect.Detector
	seg tcpstate.Segment
}

func (x *traffic) send(src, dst tcpstate.Endpoint, fl tcpstate.Flags, seq, ack tcpstate.Seq) {
	x.seg.Frame++
	x.seg.Time += millisecond
	s := x.seg
	s.Src, s.Dst, s.Flags, s.Seq, s.Ack = src, dst, fl, seq, ack
	x.d.Segments([]tcpstate.Segment{s})
}

// pause lets time pass.
func (x *traffic) pause(ns int64) {
	x.seg.Time += ns
	x.d.Advance(x.seg.Time)
}

func lbEnd(i int) tcpstate.Endpoint {
	return tcpstate.Endpoint{Addr: tcpstate.Addr4([]byte{10, 0, 0, byte(i >> 15)}), Port: uint16(i&0x7fff) + 20000}
}

func targetEnd(i int) tcpstate.Endpoint {
	return tcpstate.Endpoint{Addr: tcpstate.Addr4([]byte{10, 1, byte(i >> 8), byte(i)}), Port: 8080}
}

// refuse makes a finding.
func (x *traffic) refuse(lb, target tcpstate.Endpoint) {
	x.send(lb, target, tcpstate.SYN, 100, 0)
	x.send(target, lb, tcpstate.RST|tcpstate.ACK, 0, 101)
	x.pause(3 * second)
}

// Weeks of a broken target fill no memory, and nothing is forgotten silently.
func TestLiveForgets(t *testing.T) {
	const n = 5000
	handed := 0
	x := &traffic{d: detect.New(detect.Options{Live: true, OnFinding: func(*detect.Finding) { handed++ }})}
	for i := range n {
		x.refuse(lbEnd(i), targetEnd(0))
	}
	if p := x.d.Progress(); p.Findings != n || p.Live != 0 {
		t.Errorf("progress says %+v", p)
	}
	for name, r := range map[string]*detect.Result{"snapshot": x.d.Snapshot(), "end": x.d.Finish()} {
		if handed != n || len(r.Findings) > 2000 || len(r.Findings) < 1000 || len(r.Forgotten) != 1 {
			t.Fatalf("%s: %d findings handed out, %d kept, %d groups", name, handed, len(r.Findings), len(r.Forgotten))
		}
		g := r.Forgotten[0]
		if g.Rule != detect.ConnectionRefused || g.Target != targetEnd(0) || g.Severity != detect.Error || !g.Lost ||
			g.Count+uint64(len(r.Findings)) != n || g.First >= g.Last || g.Last >= r.Findings[0].Time {
			t.Errorf("%s: %+v, first kept at %d", name, g, r.Findings[0].Time)
		}
	}
}

// Targets come and go for weeks; the newest are told apart, the others counted together.
func TestLiveTargets(t *testing.T) {
	const n = 2200 // in less than two hours: connections idle for longer are forgotten
	x := &traffic{d: detect.New(detect.Options{Live: true})}
	lasting := targetEnd(n)
	x.send(lbEnd(0), lasting, tcpstate.SYN, 100, 0)
	x.send(lasting, lbEnd(0), tcpstate.SYN|tcpstate.ACK, 500, 101)
	x.send(lbEnd(0), lasting, tcpstate.ACK, 101, 501)
	for i := range n {
		x.refuse(lbEnd(i+1), targetEnd(i))
	}
	r := x.d.Finish()
	sum := uint64(0)
	byEnd := map[tcpstate.Endpoint]uint64{}
	for _, g := range r.Targets {
		sum += g.Connections
		byEnd[g.Target] = g.Connections
	}
	if sum != n+1 || len(r.Targets) > 1025 {
		t.Errorf("%d connections of %d targets", sum, len(r.Targets))
	}
	if byEnd[lasting] != 1 || byEnd[targetEnd(n-1)] != 1 || byEnd[targetEnd(0)] != 0 || byEnd[tcpstate.Endpoint{}] < 1000 {
		t.Errorf("the wrong ones are told apart: %d others", byEnd[tcpstate.Endpoint{}])
	}
}

// An idle timeout that is too short is reported while the capture goes on, once.
func TestLiveMismatch(t *testing.T) {
	var got []string
	x := &traffic{d: detect.New(detect.Options{Live: true, LBIdleTimeout: 60 * second, OnFinding: func(f *detect.Finding) {
		got = append(got, fmt.Sprint(f.Rule.ID, " ", f.Target))
	}})}
	target := targetEnd(0)
	for i := range 60 {
		lb := lbEnd(i)
		x.send(lb, target, tcpstate.SYN, 100, 0)
		x.send(target, lb, tcpstate.SYN|tcpstate.ACK, 500, 101)
		x.send(lb, target, tcpstate.ACK, 101, 501)
		x.seg.Len = 50
		x.send(lb, target, tcpstate.ACK, 101, 501)
		x.send(target, lb, tcpstate.ACK, 501, 151)
		x.seg.Len = 0
		x.pause(5 * second)
		x.send(target, lb, tcpstate.FIN|tcpstate.ACK, 551, 151)
		x.send(lb, target, tcpstate.FIN|tcpstate.ACK, 151, 552)
		x.send(target, lb, tcpstate.ACK, 552, 152)
		x.pause(second)
	}
	if len(got) != 1 || got[0] != "keepalive-mismatch 10.1.0.0:8080" {
		t.Errorf("found %q", got)
	}
	if r := x.d.Finish(); len(r.Findings) != 1 {
		t.Errorf("%d findings at the end", len(r.Findings))
	}
}

// TestLiveForgetsNoOpenOne: what goes on is not forgotten before it has ended, so that each try counts for what became
// of it.
func TestLiveForgetsNoOpenOne(t *testing.T) {
	x := &traffic{d: detect.New(detect.Options{Live: true})}
	x.send(lbEnd(0), targetEnd(0), tcpstate.SYN, 100, 0)
	for _, s := range []int64{1, 2, 4, 8, 16} { // unanswered, and open
		x.pause(s * second)
		x.send(lbEnd(0), targetEnd(0), tcpstate.SYN, 100, 0)
	}
	for i := range 2500 {
		x.send(lbEnd(i+1), targetEnd(1), tcpstate.SYN, 100, 0)
		x.send(targetEnd(1), lbEnd(i+1), tcpstate.RST|tcpstate.ACK, 0, 101)
	}
	x.pause(10 * second)
	sum := func(r *detect.Result) (sum detect.Tries) {
		for _, f := range r.Findings {
			sum.Add(f.Tries(), 1)
		}
		for _, g := range r.Forgotten {
			sum.Add(g.Tries, 1)
		}
		return sum
	}
	if r := x.d.Snapshot(); sum(r) != r.Totals.Tries || r.Totals.OpenTries != 1 || len(r.Forgotten) == 0 {
		t.Errorf("%+v of %+v, %d groups", sum(r), r.Totals.Tries, len(r.Forgotten))
	}
	x.pause(300 * second)
	if r := x.d.Finish(); sum(r) != r.Totals.Tries || r.Totals.OpenTries != 0 {
		t.Errorf("at the end %+v of %+v", sum(r), r.Totals.Tries)
	}
}
