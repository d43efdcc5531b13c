package detect

import "connrace/tcpstate"

// goneAdvice is for a host of which nothing is heard any more.
var goneAdvice = &advice{
	"The target's host is down or was replaced, or nothing gets through to it any more: the packets do not tell which.",
	"First see whether the host is up: its console or instance state, and from the load balancer's host its neighbour table and the way there, as below. " +
		"If it is gone for good, take its address out of the load balancer (a name that was resolved once, a pod that is no more) and let health checks do so " +
		"the next time. Only if it is up, look for what drops packets of old and new connections alike: a security group, a network ACL, a firewall.",
}

// noteGone says of a finding about SYNs to a host that is dead, in the sense of Finding.Dead, whether
// nothing was heard of it since: SYNs that were given up, requests on connections that it had, and
// no answer of any of its listeners show that it is the host, and not one port.
func (d *Detector) noteGone(x *Facts, f *Finding) {
	if f.Dead && x.Outcome != SYNAnswered && !d.targets.heardSince(x.ends[1].Addr, f.Time) {
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
