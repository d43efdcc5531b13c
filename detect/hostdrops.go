package detect

import (
	"cmp"
	"fmt"

	"connrace/tcpstate"
)

// filters are the reasons by which Linux says that something on the host is there to drop a
// packet (include/net/dropreason-core.h), and what that is.
var filters = map[string]string{
	"NETFILTER_DROP": "a rule of its packet filter (nft list ruleset; iptables -nvL)",
	"XDP":            "an XDP program (bpftool net)",
	"TC_INGRESS":     "a filter of its traffic control (tc filter show dev DEV ingress)",
	"IP_RPFILTER":    "its reverse path filter (net.ipv4.conf.*.rp_filter): it would answer by another interface",
	"SOCKET_FILTER":  "a filter on the listening socket (SO_ATTACH_FILTER, SO_ATTACH_BPF)",
	"XFRM_POLICY":    "an IPsec policy (ip xfrm policy)",
	"SECURITY_HOOK":  "a security module (SELinux, Smack, BPF LSM)",
}

// listenOverflow is the reason of segments that a full accept queue has no room for. SYNs that it
// has no room for are dropped without one: counters tell of them.
const listenOverflow = "TCP_LISTEN_OVERFLOW"

// hear grades a finding by what the kernel says of the segments that it dropped and the RST that
// it sent: of a segment, by its number, and so certain.
func (d *Detector) hear(p *pending, a *HostAnswer) {
	f := p.f
	for i := range f.Evidence {
		if e := &f.Evidence[i]; a.Reset != "" && e.Role == RoleRST && !e.FromLB && f.Measures.RSTOrigin != OriginBetween {
			f.Measures.RSTReason = a.Reset
			e.Note += " (the kernel: " + a.Reset + ")"
			break
		}
	}
	if !f.Rule.Ignored() || len(f.Evidence) == 0 {
		return
	}
	syns := f.Rule.Queue != FullForACKs
	counts := map[string]int{}
	for _, x := range a.Drops {
		if isSYN := x.Flags.Has(tcpstate.SYN); isSYN == syns && (!syns || x.Seq == f.synSeq()) {
			counts[x.Reason]++
		}
	}
	reason, n := "", 0
	for r, c := range counts {
		if c > n || c == n && cmp.Less(r, reason) {
			reason, n = r, c
		}
	}
	what, filtered := filters[reason]
	switch {
	case n == 0 || syns && 2*n < len(p.ignored) || !filtered && reason != listenOverflow:
		return
	case !filtered:
		f.Measures.DropReason, f.Measures.Dropped = reason, n
		d.confirm(p, fmt.Sprintf("the kernel dropped %d of its segments: %s", n, reason), Certain)
		return
	case !syns:
		return
	}
	f.Measures.DropReason, f.Measures.Dropped = reason, n
	if r := f.Rule.ifLossy(); r != nil {
		f.Rule = r
	}
	f.Confidence = Certain
	f.Grounds = fmt.Sprintf("the target's kernel dropped %d of %d copies of the SYN: %s", n, max(len(p.ignored), n), reason)
	f.own = &advice{
		fmt.Sprintf("The target's host itself drops the SYN: %s. No queue is behind it.", what),
		fmt.Sprintf("Look on the target's host for %s that drops what comes from %s.", what, f.LB.Addr),
	}
}

// synSeq is the sequence number of the SYN of a finding about one.
func (f *Finding) synSeq() tcpstate.Seq {
	for i := range f.Evidence {
		if e := &f.Evidence[i]; e.Role == RoleSYN {
			return e.Seq
		}
	}
	return 0
}

// closedAt is when the target closed, by its first FIN or RST; 0: it did not.
func (f *Finding) closedAt() int64 {
	for i := range f.Evidence {
		if e := &f.Evidence[i]; !e.FromLB && (e.Role == RoleFIN || e.Role == RoleRST) {
			return e.Time
		}
	}
	return 0
}
