package detect

import (
	"fmt"
	"slices"
	"strings"
)

// Where a connection that had been idle is not known any more, something in between may have
// forgotten it for that. What speaks for that, and how long it remembers, is told by all the idle
// times after which requests were answered and after which the connection was gone.

// idleBounds are the longest idle time after which a request was answered, -1: none was, and those
// after which the connection was gone.
type idleBounds struct {
	answered int64
	gone     []int64
}

// shortest is the shortest idle time, beyond those after which requests were answered, after which
// a connection was gone.
func (b *idleBounds) shortest(idle int64) int64 {
	for _, g := range b.gone {
		if g > b.answered {
			idle = min(idle, g)
		}
	}
	return idle
}

// idleLimits are limits that many paths have.
var idleLimits = []struct {
	after int64
	of    string
}{
	{240 * second, "the 240 s of an Azure load balancer"},
	{350 * second, "the 350 s of an AWS NLB, NAT gateway or Gateway Load Balancer"},
	{600 * second, "the 600 s of Google Cloud's firewall"},
	{900 * second, "the 900 s of IPVS (Docker Swarm, kube-proxy)"},
	{1800 * second, "the 1800 s of a Juniper SRX"},
	{3600 * second, "the 3600 s of a Cisco ASA, FortiGate or Palo Alto firewall"},
}

// leastLimit is shorter than the idle limit of anything that lies in between, by judgement.
const leastLimit = 30 * second

// movedAway is the cause where a request was answered after a longer idle time: no idle limit in
// between took the connection away.
func movedAway(f *Finding, b idleBounds) *advice {
	if !f.Measures.Idle.Known {
		return nil
	}
	if b.answered <= f.Measures.Idle.NS {
		return idleLimit(f, b)
	}
	why := "The target was replaced, restarted or moved behind its address"
	if f.Measures.RST == "" {
		why = "The target's host died, was replaced or moved behind its address, or the way to it broke"
	}
	return &advice{
		why + ": requests were answered after up to " + about(b.answered) +
			" idle, so no idle limit in between explains it.",
		"Let old connections finish before a target leaves: take it out of the load balancer first (deregistration_delay.timeout_seconds, " +
			"preStop), then stop it. Look for a rolling update, a failover or a restart at that moment.",
	}
}

// resetLimit names the limit that a wait fits at whose end something in between reset the
// connection, or the bounds of one as idleLimit does.
func resetLimit(f *Finding, b idleBounds) *advice {
	const slack = second // a sweep may be late
	for _, l := range idleLimits {
		if o := f.Measures.Outstanding; o.Known && o.NS >= l.after-slack/10 && o.NS <= l.after+slack {
			return &advice{
				fmt.Sprintf("Something in between ended the connection after nothing had gone over it for %s: %s fits.", about(o.NS), l.of),
				"Let the answer begin, or TCP keep-alives go, more often than that (net.ipv4.tcp_keepalive_time on both hosts, nginx " +
					"proxy_socket_keepalive on, HAProxy option srvtcpka), or raise the limit of what lies in between.",
			}
		}
	}
	return idleLimit(f, b)
}

// idleLimit adds to a rule's own advice between which idle times a limit would lie.
func idleLimit(f *Finding, b idleBounds) *advice {
	if !f.Measures.Idle.Known || f.Measures.Idle.NS < leastLimit || b.answered > f.Measures.Idle.NS {
		return nil
	}
	gone := b.shortest(f.Measures.Idle.NS)
	var fits []string
	for _, l := range idleLimits {
		if l.after > b.answered && l.after <= gone+second {
			fits = append(fits, l.of)
		}
	}
	bounds := fmt.Sprintf("Connections were gone after %s idle", about(gone))
	if b.answered >= 0 {
		bounds += fmt.Sprintf(", requests were answered after up to %s: an idle limit in between lies between the two", about(b.answered))
	}
	if len(fits) > 0 {
		slices.Reverse(fits) // the nearest to where it shows
		bounds += "; " + strings.Join(fits[:min(len(fits), 2)], " or ") + " fits"
	}
	return &advice{f.Rule.Cause + " " + bounds + ".", f.Rule.Fix}
}
