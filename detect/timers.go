package detect

import (
	"strings"

	"connrace/detect/internal/idle"
	"connrace/tcpstate"
)

// timer is an inferred idle timeout with what it stands on.
type timer struct {
	idle.Timer
	Timeout
}

// inferred is what was inferred when it was last looked.
type inferred struct {
	idle, lb *timer      // nil: none
	sweep    *idle.Timer // where there is no idle
	limits   idle.Limits
	at       int // closes seen then; -1: look again
}

// timers are the inferred idle timeouts of a target and of its LB; nil: none. They are
// inferred anew when a good part of the closes is new.
func (t *target) timers() (own, lb *timer) {
	x := t.told
	if n := x.closes.Count + x.lbCloses.Count; n-x.inferred.at > min(x.inferred.at, maxCloses)/16 {
		x.infer(t.advertised)
		x.inferred.at = n
	}
	return x.inferred.idle, x.inferred.lb
}

// reinfer lets the timers be inferred anew, from all closes.
func (t *target) reinfer() {
	if t.told != &silent {
		t.told.inferred.at = -1
	}
}

func (x *told) infer(advertised int64) {
	in := &x.inferred
	in.idle, in.lb, in.sweep = nil, nil, nil
	closes, lbCloses := x.closes.All(), x.lbCloses.All()
	mass := idle.MassCloses(closes)
	if t := newTimer(idle.Infer(closes, mass, x.longest)); t != nil {
		in.idle = t
		t.Hint = targetHints(t.NS, x.who.server.Said(), x.who.server.Not())
		if advertised > 0 {
			t.Advertised = Duration{advertised, true}
			if s := lateSoftware(t.NS - advertised); s != nil {
				t.Hint = []string{s.Name + strings.TrimPrefix(s.Basis, "it")}
			}
		}
	} else {
		in.sweep = idle.InferSweep(closes, x.longest)
	}
	if t := newTimer(idle.Infer(lbCloses, idle.MassCloses(lbCloses), x.longest)); t != nil {
		in.lb = t
		if x.vantage() == "target" {
			// The answer left here half a round trip before the LB's timer started, and
			// the FIN arrived half a round trip after it had fired.
			t.NS = max(t.NS-x.rtt.Median(), 0)
		}
		t.Hint = lbHints(t.NS, x.who.lb.Said())
	}
	in.limits = idle.InferLimits(closes, mass, lbCloses, x.slow.From, x.rtt.Median())
}

// idleTimers are the two idle timeouts, the LB's as it was configured, if that is known.
func (t *target) idleTimers(lbIdle int64) (ts Timers) {
	own, lb := t.timers()
	if own != nil {
		ts.Target = own.NS
	}
	if lb != nil {
		ts.LB = lb.NS
	}
	if lbIdle != 0 {
		ts.LB = lbIdle
	}
	ts.Purges = ts.LB == 0 && t.told.who.lb.Said().Purges()
	return ts
}

// allTimers are what is known of the clocks by which a target closes, and of the close, if it has.
func (t *target) allTimers(c *theClose, lbIdle int64) (ts Timers) {
	ts = t.idleTimers(lbIdle)
	l := &t.told.inferred.limits
	if c != nil {
		ts.Request, ts.Grace = c.Out, c.announced
	}
	if l.Request != nil {
		ts.Request = l.Request.After
	}
	if l.Age != nil {
		ts.Age = l.Age.After
	}
	if l.Uncanceled != nil && ts.Target == 0 {
		ts.Target = l.Uncanceled.After
	}
	ts.Count = l.Count
	return ts
}

func newTimer(t *idle.Timer) *timer {
	if t == nil {
		return nil
	}
	return &timer{*t, Timeout{NS: t.After, Samples: len(t.Closes), SpreadNS: t.Hi - t.Lo}}
}

// advertise notes what the target's newest answer said of its keep-alive timeout.
func (t *target) advertise(f *tcpstate.Flow) {
	if a := f.KeepAlive(); a > 0 {
		t.advertised = a
	}
}

// nearMiss is how far below the target's timer a request counts as one that nearly met the
// close, by judgement.
const nearMiss = 100 * millisecond

// nearMisses counts the requests that were answered although the connection had been
// idle until shortly before the target's timer.
func (x *told) nearMisses(own *timer) uint64 {
	return uint64(x.reusesFrom(own.Lo - nearMiss))
}

func (x *told) reusesFrom(gap int64) (n int) {
	for _, g := range x.reuses.All() {
		if g >= gap {
			n++
		}
	}
	return n
}

// exposure is how many crossings a million requests are expected to bring: the density
// of reuses just below the timer, times the time in which a request and the FIN cross,
// one round trip.
func (x *told) exposure(own *timer) (float64, bool) {
	const few = 20 // reuses: of fewer a density says nothing
	rtt := x.rtt.Median()
	if rtt == 0 || x.reuses.Len() < few {
		return 0, false
	}
	// Below the timer, where requests were answered, and one round trip beyond, where
	// they crossed.
	window := max(5*rtt, nearMiss)
	n := x.crossed + x.reusesFrom(own.Lo-window)
	share := float64(n) / float64(x.reuses.Len()+x.crossed)
	return min(share*float64(rtt)/float64(window+rtt), 1) * 1e6, true
}

// advice is what the target's figures suggest.
func (t *target) advice(own, lb *timer, lbTimeout int64) []string {
	if own == nil {
		return nil
	}
	var out []string
	if t.mismatch(own, lb, lbTimeout) != "" {
		out = append(out, "the target closes connections after "+seconds(own.NS)+" idle: raise its keep-alive timeout above the load balancer's idle timeout")
	}
	if own.Advertised.Known {
		if d := own.NS - own.Advertised.NS; d > idle.Slack || d < -idle.Slack {
			out = append(out, "the target advertises Keep-Alive: timeout="+seconds(own.Advertised.NS)+" but closes after "+seconds(own.NS))
		}
	}
	return out
}
