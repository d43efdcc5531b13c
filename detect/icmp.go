package detect

import (
	"fmt"
	"strings"

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

// complaint is the newest ICMP error about octets that were sent in vain; nil: none. That they are
// too big counts only where they are.
func (x *Facts) complaint(s *silence) *tcpstate.ICMPRef {
	n := x.tn
	if s.fromLB {
		n = x.ln
	}
	all := n.ICMP()
	for i := len(all) - 1; i >= 0; i-- {
		e := &all[i]
		tooBig := e.TooBig() && (e.MTU == 0 || s.least+leastHeaders(e.V6) > e.MTU)
		if e.Seq.AtOrAfter(s.first.Seq) && (tooBig || e.Unreachable()) {
			return e
		}
	}
	return nil
}

// leastHeaders are the octets of an IP and a TCP header without options.
func leastHeaders(v6 bool) uint32 {
	if v6 {
		return 40 + 20
	}
	return 20 + 20
}

// complained adds to the finding of octets that were sent in vain the ICMP error that says why.
func (x *Facts) complained(f *Finding, s *silence, e *tcpstate.ICMPRef) {
	x.addICMP(f, e, s.fromLB)
	f.Grounds += "; an ICMP error quotes what was lost"
	sender, receiver := x.ends[0].Addr, x.ends[1].Addr
	if !s.fromLB {
		sender, receiver = receiver, sender
	}
	if !e.TooBig() {
		f.Summary += fmt.Sprintf("; %s (frame %d): it could not be delivered", icmpWords(e), x.frame(e.SegRef))
		f.own = x.undeliverable(e, receiver)
		return
	}
	if e.MTU == 0 {
		f.Summary += fmt.Sprintf("; %s (frame %d): it is too big for the path", icmpWords(e), x.frame(e.SegRef))
	} else {
		f.Summary += fmt.Sprintf("; %s (frame %d): the path carries packets of up to %d bytes, this one has at least %d", icmpWords(e), x.frame(e.SegRef), e.MTU, s.least+leastHeaders(e.V6))
	}
	mss, typ := "--clamp-mss-to-pmtu", "ICMP type 3 code 4"
	if e.MTU > leastHeaders(e.V6) {
		mss = fmt.Sprintf("--set-mss %d", e.MTU-leastHeaders(e.V6))
	}
	if e.V6 {
		typ = "ICMPv6 type 2"
	}
	f.own = &advice{
		fmt.Sprintf("The path is narrower than %s believes. %s says so, and %s goes on all the same: the message is filtered on its way to that kernel, "+
			"or reaches another host, or is ignored.", sender, e.From, sender),
		fmt.Sprintf("Let %s through to %s (its own firewall and security group, a load balancer or anycast in front of it), or clamp the MSS at %s "+
			"(iptables -t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS %s). As a first aid set net.ipv4.tcp_mtu_probing=1 on %s.",
			typ, sender, e.From, mss, sender),
	}
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
	f.own = x.undeliverable(e, x.ends[1].Addr)
	return f
}

// undeliverable is the advice where an ICMP error says that a host cannot be reached.
func (x *Facts) undeliverable(e *tcpstate.ICMPRef, to tcpstate.Addr) *advice {
	if e.Refused() || strings.HasSuffix(e.Name(), "prohibited") {
		return &advice{
			fmt.Sprintf("%s rejects it by an ICMP error (%s): a firewall's REJECT. A TCP stack would answer by an RST.", e.From, e.Name()),
			fmt.Sprintf("Look at %s: iptables -nvL and nft list ruleset show the REJECT rule whose counter grows.", e.From),
		}
	}
	return &advice{
		fmt.Sprintf("%s says that it cannot deliver to %s: %s. The target's queue has no part in it.", e.From, to, e.Name()),
		fmt.Sprintf("Look at %s, which sent the ICMP error: its routes and neighbours (ip route get %s, ip neigh) and its filters "+
			"(iptables -nvL; nft list ruleset), and whether %s is up.", e.From, to, to),
	}
}
