package detect

import "connrace/tcpstate"

// goneAdvice is for a host of which nothing was heard while it was tried.
var goneAdvice = &advice{
	"The target's host was down or replaced, or nothing got through to it: the packets do not tell which.",
	"First see whether the host is up: its console or instance state, and from the load balancer's host its neighbour table and the way there, as below. " +
		"If it is gone for good, take its address out of the load balancer (a name that was resolved once, a pod that is no more) and let health checks do so " +
		"the next time. Only if it is up, look for what drops packets of old and new connections alike: a security group, a network ACL, a firewall.",
}

// noteGone says of a finding about SYNs to a host that is dead, in the sense of Finding.Dead, whether
// nothing was heard of it since: SYNs that were given up, requests on connections that it had, and
// no answer of any of its listeners, show that it is the host, and not one port. An answer that goes
// on coming, on whatever connection, shows that it is there.
func (d *Detector) noteGone(x *Facts, f *Finding) {
	if f.Dead && x.Outcome != SYNAnswered && !d.targets.heardSince(x.ends[1].Addr, f.Time) && !d.sentSince(x.ends[1].Addr, f.Time) {
		f.Gone, f.own = true, goneAdvice
	}
}

// mostAsked is among how many targets a host's listeners are looked for: of more than that, nothing
// is said.
const mostAsked = 1 << 10

// heardSince reports whether a listener of a host has answered since a time, as far as is known.
func (ts *targets) heardSince(host tcpstate.Addr, time int64) bool {
	if len(ts.all) > mostAsked {
		return true
	}
	for _, t := range ts.all {
		if t.end.Addr == host && t.told.heard >= time {
			return true
		}
	}
	return false
}

// senders are when hosts sent their newest segments, as far as was known at a time.
type senders struct {
	newest map[tcpstate.Addr]int64
	at     int64
}

const (
	// fewFlows are looked through for each finding; more of them once a second, for all hosts.
	fewFlows  = 1 << 12
	lookAfter = second
)

// sentSince reports whether a segment of a host has come since a time, on a connection that is not
// forgotten.
func (d *Detector) sentSince(host tcpstate.Addr, time int64) bool {
	s, now := &d.senders, d.tracker.Now()
	if s.newest == nil || d.tracker.Live() <= fewFlows || now-s.at >= lookAfter {
		*s = senders{newest: map[tcpstate.Addr]int64{}, at: now}
		d.tracker.Each(func(f *tcpstate.Flow) {
			if n := d.tracker.NewestFromTarget(f); n.Set() {
				from := d.tracker.Endpoint(f, 1-f.LB()).Addr
				s.newest[from] = max(s.newest[from], n.Time)
			}
		})
	}
	newest, sent := s.newest[host]
	return sent && newest >= time
}
