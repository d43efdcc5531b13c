package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// notes say what may have hidden something.
func (t *tables) notes() {
	ns := t.report.Notes()
	if len(ns) == 0 {
		return
	}
	t.heading("What may have hidden something")
	for _, n := range ns {
		t.paragraph("  - ", n)
	}
}

// Notes are the limits of what could be seen.
func (r *Report) Notes() []string {
	x := r.Totals()
	var ns []string
	add := func(format string, args ...any) { ns = append(ns, fmt.Sprintf(format, args...)) }
	if r.Interrupted && !r.CutShort && !slices.ContainsFunc(r.Captures, func(c Capture) bool { return c.Interrupted }) {
		add("interrupted: the input was not read to its end")
	}
	for i := range r.Captures {
		for _, w := range r.Captures[i].Warnings {
			add("%s", text.Clean(w))
		}
	}
	switch {
	case x.Frames == 0 && len(r.Listeners) > 0:
		add("no packets%s", Seen(r.Listeners))
	case x.Frames == 0:
		add("the capture has no packets: was the filter or the interface the right one?")
	case x.Segments == 0:
		add("no TCP segments%s", r.skipped())
	case x.Flows == 0 && len(r.Listeners) > 0:
		add("--target matches no connection%s", Seen(r.Listeners))
	}
	of := func(n uint64) string {
		if n == x.Flows {
			return "all connections"
		}
		return fmt.Sprintf("%s of %s", text.Grouped(n), text.Plural(x.Flows, "connection"))
	}
	if n := x.OneDirection - min(x.OneDirection, x.Unanswered+x.Pending); n > 0 {
		add("of %s only one direction was captured: a race needs both (capture at the target or the load balancer, "+
			"or mirror both directions)", of(n))
	}
	if n := x.Pending; n > 0 {
		add("%s without an answer yet when the capture ended; a longer capture tells more", text.Plural(n, "SYN"))
	}
	if n := x.NoHandshake; n > 0 {
		add("of %s no handshake was captured: which side is the load balancer is inferred there; --target says it", of(n))
	}
	if n := x.NoPayload; n > 0 {
		add("of %s the payload was not captured: no method and path, and no response-truncated or early responses; "+
			"capture with -s 0 or at least -s 512", of(n))
	} else if n := r.snaplen(); n > 0 && n < 512 && x.Requests > 0 {
		add("only the first %d bytes of each frame were captured: requests may be cut, and response-truncated or early "+
			"responses missed; capture with -s 0 or at least -s 512", n)
	}
	if n := x.HTTP2InTLS; n > 0 {
		add("the streams of %s that may be HTTP/2 inside TLS cannot be told apart: what is said of their requests is only suspected; "+
			"capture where the traffic is not encrypted, or look at the load balancer's log", text.Plural(n, "connection"))
	}
	if n := x.HTTP2Unread; n > 0 {
		add("of %s in HTTP/2, as it seems, too little was captured to tell the streams apart: what is said of their requests is only "+
			"suspected; capture with -s 0", text.Plural(n, "connection"))
	}
	if n := x.UnfollowedStreams; n > 0 {
		add("%s of HTTP/2 were not followed, for there were too many at once: what became of those requests is not known", text.Plural(n, "stream"))
	}
	if n := x.OtherProtocols; n > 0 {
		add("the protocol of %s is not followed: what is said of their messages is only suspected", text.Plural(n, "connection"))
	}
	if n := r.probes(); n > 0 {
		add("%s met a port that speaks another protocol, and count as probes, for who sent them has agreed on TLS nowhere or is served there without it; "+
			"if it is the load balancer, its scheme or port is wrong (-v shows them)", text.Plural(n, "TLS hello"))
	}
	for i, s := range x.Scans {
		if i == mostScans {
			add("%s scanned ports too", text.Plural(uint64(len(x.Scans)-i), "other pair"))
			break
		}
		add("%s tried %s of %s, a port scan: what it was refused is not counted", s.From, text.Plural(uint64(s.Ports), "port"), s.To)
	}
	if n := x.Undecided; n > 0 {
		add("%s undecided: frames are missing in the capture that would tell whether a request failed", text.Plural(n, "incident"))
	}
	if x.DropsKnown && x.Drops > 0 {
		add("the kernel dropped %s while capturing (%s)", text.Plural(x.Drops, "packet"), r.room())
	}
	if x.EvictedFlows > 0 {
		add("%s forgotten for want of room (--max-flows)", text.Plural(x.EvictedFlows, "connection"))
	}
	if x.MergedConnections > 0 {
		add("%s not told apart by target, for want of room (--max-targets)", text.Plural(x.MergedConnections, "connection"))
	}
	ns = append(ns, r.inexact()...)
	if x.StreamsCut {
		add("not all streams are listed, for want of room (--max-flows)")
	}
	if x.Unlisted > 0 && !r.Live {
		add("%s counted, but not listed, for want of room", text.Plural(x.Unlisted, "finding"))
	}
	if l := x.Leaps; l.Count > 0 {
		in := ""
		if len(r.Captures) > 1 {
			in = fmt.Sprintf(" of file %d", l.Capture)
		}
		add("the clock is wrong in %s, first at frame %d%s, by %s: what was going on where it went back was judged as it stood",
			text.Plural(l.Count, "place"), l.Frame, in, text.Roughly(l.By))
	}
	return ns
}

// probes counts the TLS hellos to ports that do not speak it by hosts that may not have meant it.
func (r *Report) probes() (n uint64) {
	for i := range r.Analyses {
		for _, f := range r.Analyses[i].Result.Findings {
			if f.Rule.Probing && f.Severity == detect.Info {
				n++
			}
		}
	}
	return n
}

// mostScans is how many port scans are named one by one.
const mostScans = 3

// room is what would have made room for packets that were dropped.
func (r *Report) room() string {
	if r.Live {
		return "a larger --ring helps, a smaller --snaplen, or --target"
	}
	return "a larger buffer helps: tcpdump -B 32768"
}

// inexact says from where on stream numbers may not be Wireshark's.
func (r *Report) inexact() (ns []string) {
	for i := range r.Captures {
		n := r.exactStreams(i)
		if n == math.MaxUint32 {
			continue
		}
		in := ""
		if len(r.Captures) > 1 {
			in = fmt.Sprintf(" of file %d", i)
		}
		ns = append(ns, fmt.Sprintf("stream numbers%s from %d on may differ from Wireshark's, for connections that were forgotten "+
			"may have gone on: filters of such findings go by addresses and frames", in, n))
	}
	return ns
}

// snaplen is the least limit of captured bytes; 0: none.
func (r *Report) snaplen() (least uint32) {
	for i := range r.Captures {
		if n := r.Captures[i].Snaplen; n > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	return least
}

// skipped are the commonest reasons why frames held no TCP segment.
func (r *Report) skipped() string {
	why := slices.SortedFunc(maps.Keys(r.Skipped), func(a, b string) int {
		return cmp.Or(cmp.Compare(r.Skipped[b], r.Skipped[a]), strings.Compare(a, b))
	})
	if len(why) == 0 {
		return ""
	}
	const most = 3
	var parts []string
	for _, w := range why[:min(most, len(why))] {
		parts = append(parts, fmt.Sprintf("%s %s", text.Plural(r.Skipped[w], "frame"), w))
	}
	return ": " + strings.Join(parts, ", ")
}

// Seen lists the listeners there were instead of those that were asked for.
func Seen(listeners []string) string {
	if len(listeners) == 0 {
		return ""
	}
	const most = 8
	s := "; these listeners were seen: " + strings.Join(listeners[:min(most, len(listeners))], ", ")
	if n := len(listeners) - most; n > 0 {
		s += fmt.Sprintf(" and %s more", text.Grouped(uint64(n)))
	}
	return s
}
