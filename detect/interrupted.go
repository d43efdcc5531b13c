package detect

// Where a link is down for some seconds, everything that is sent to a target in that time stays unacknowledged:
// requests on connections that it knows, and SYNs. What comes through in the end tells that from a connection
// that was forgotten, and from a host that is gone.

// silentTime is from when until when something that an LB and a target sent each other was not acknowledged.
type silentTime struct {
	from, to int64
	stream   uint32
	data     bool // of a connection that was established
	back     bool // it came through in the end
}

// mostSilences are the newest ones that are kept of a target: an outage of some seconds hardly has more.
const mostSilences = 256

// noteSilence keeps what a finding says of when the way to its target, or that one's host, was silent.
func (t *target) noteSilence(f *Finding) {
	s := silentTime{from: f.Time, to: f.Time, stream: f.Stream, data: f.Rule != SYNUnanswered}
	switch m := &f.Measures; {
	case f.Rule != SYNUnanswered && f.Rule != PathLoss && f.Rule != StaleConnection, m.RST != "", sizeOf(m.SmallestLost, m.LargestDelivered) == TooLarge, m.ICMP != nil:
		return
	case m.Delay.Known:
		s.to += m.Delay.NS
		s.back = !f.Lost
	case m.Outstanding.Known:
		s.to += m.Outstanding.NS
	default:
		return
	}
	x := t.tell()
	for i := range x.silences.All() {
		if o := &x.silences.All()[i]; o.stream == s.stream && o.from == s.from {
			*o = s // it was open when it was told first
			return
		}
	}
	x.silences.Add(s)
}

// interrupted is what is said of a request that was sent, or waited for its answer, while the way to its target, or that
// one's host, was silent for others, too, and came back; nil: it was not.
func (t *target) interrupted(f *Finding) *advice {
	o := f.Measures.Outstanding
	if !o.Known || f.Measures.RST != "" || f.Rule != StaleConnection && f.Rule != LBClosedWithRequestOutstanding && f.Rule != HandshakeReset {
		return nil
	}
	const least = 2 // others: one segment alone may be lost anywhere
	n, data, back, until := 0, f.Rule == StaleConnection, false, f.Time+o.NS
	for _, s := range t.told.silences.All() {
		if s.stream == f.Stream || s.from > until+second || s.to < f.Time {
			continue // one that is retried is repeated within a second
		}
		n++
		data = data || s.data
		// Who tries in vain waits twice as long each time: what is silent for longer behind that was not silent for it.
		back = back || s.back && until <= s.to+(s.to-s.from)+second
	}
	switch {
	case f.Rule == HandshakeReset && data:
		return notTranslated
	case f.Rule == HandshakeReset:
		return nil
	case n < least || !data || !back:
		return nil
	case f.Rule == StaleConnection:
		return cutOff
	}
	return cutOffMeanwhile
}

// cutOff, cutOffMeanwhile and notTranslated are what is said of a request that was not acknowledged, of one that was, and
// of a SYN-ACK that did not arrive.
var (
	cutOff = &advice{
		"Nothing came through to the target for some seconds: other requests or new connections were not acknowledged at that time, either, and came through when it was over. The way between the two was " +
			"interrupted or the target's host stood still; no idle limit is behind it.",
		cutOffFix,
	}
	cutOffMeanwhile = &advice{
		"During this wait other requests and new connections to the target were not acknowledged at all, and came through when that was over: the way between the two was interrupted or the target's host stood " +
			"still. So the answer may have been lost on the way; the application need not be slow.",
		cutOffFix,
	}
	notTranslated = &advice{
		"Data of established connections between the two was not acknowledged at that time, either: the way between them was interrupted or lost segments, which no translation of addresses explains.",
		cutOffFix,
	}
)

const cutOffFix = "Look at what happened at this moment on the way (a link, a switch, a route, a failover, a firewall that was reloaded) and to the target's host (a live migration, a pause, a restart). Until then let " +
	"the load balancer repeat idempotent requests, elsewhere if it can (a POST that is repeated may run twice)."
