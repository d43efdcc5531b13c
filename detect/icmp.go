package detect

import (
	"fmt"

	"connrace/tcpstate"
)

// What the rules share that are about ICMP errors.

// icmpWords is an ICMP error for people, with who sent it.
func icmpWords(e *tcpstate.ICMPRef) string {
	what := "ICMP"
	if e.V6 {
		what = "ICMPv6"
	}
	if name := e.Name(); name != "" {
		return fmt.Sprintf("%s %s from %s", what, name, e.From)
	}
	return fmt.Sprintf("%s type %d code %d from %s", what, e.Type, e.Code, e.From)
}

// addICMP adds an ICMP error about a segment of one end to a finding.
func (x *Facts) addICMP(f *Finding, e *tcpstate.ICMPRef, aboutLB bool) {
	said := e.ICMPError // the notes are used again
	f.Measures.ICMP = &said
	v := x.settings.evidence(e.SegRef, !aboutLB, RoleICMP, icmpWords(e)+", which quotes the segment")
	v.TTL = 0 // of the packet that it quotes
	f.Evidence = append(f.Evidence, v)
	sortEvidence(f.Evidence)
}

// byFilter makes the finding of a SYN that was refused by an ICMP error.
func (x *Facts) byFilter(e *tcpstate.ICMPRef) *Finding {
	f := x.handshake(x.ln.SYNs[0].SegRef)
	x.addICMP(f, e, true)
	f.Summary = fmt.Sprintf("the SYN was refused by a filter: %s (frame %d)", icmpWords(e), x.frame(e.SegRef))
	f.own = &advice{
		fmt.Sprintf("%s refused the connection by an ICMP error, which a TCP stack does not do (it would send an RST): a firewall's REJECT, "+
			"or kube-proxy for a Service without endpoints.", e.From),
		fmt.Sprintf("Look at %s: iptables -nvL and nft list ruleset show the REJECT rule whose counter grows; in Kubernetes, whether the Service "+
			"has ready endpoints (kubectl get endpointslices).", e.From),
	}
	return f
}

// unreachable makes the finding of a SYN that an ICMP error said cannot be delivered.
func (x *Facts) unreachable(e *tcpstate.ICMPRef) *Finding {
	f := x.handshake(x.ln.SYNs[0].SegRef)
	x.addICMP(f, e, true)
	f.Summary = fmt.Sprintf("the SYN could not be delivered: %s (frame %d)", icmpWords(e), x.frame(e.SegRef))
	f.own = &advice{
		fmt.Sprintf("%s says that it cannot deliver to %s: %s. The target's queue has no part in it.", e.From, x.ends[1].Addr, e.Name()),
		fmt.Sprintf("Look at %s, which sent the ICMP error: its routes and neighbours (ip route get %s, ip neigh) and its filters "+
			"(iptables -nvL; nft list ruleset), and whether the target is up.", e.From, x.ends[1].Addr),
	}
	return f
}
