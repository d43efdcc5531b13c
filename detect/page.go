package detect

import (
	"fmt"
	"slices"
	"strings"
)

// pageWidth is the longest line of a page.
const pageWidth = 96

// Page is all that is known of a rule, for reading in a terminal.
func (r *Rule) Page(fit Fit) string {
	var p page
	p.line("", r.ID+": "+r.Title)
	p.line("", fmt.Sprintf("%s; %s", r.grades(), r.Lost))

	p.head("What happened")
	p.wrap("  ", r.Sequence)
	p.line("", "")
	for l := range strings.Lines(strings.TrimPrefix(r.Diagram, "\n")) {
		p.line("  ", l)
	}
	p.line("", "")
	p.wrap("  ", "Flags as tcpdump writes them (S SYN, F FIN, R RST, P PSH, . ACK); numbers are first:next "+
		"sequence number and acknowledgment, relative.")

	p.head("What a capture shows")
	p.label("at the target", r.Views.Target)
	p.label("at the LB", r.Views.LB)
	p.label("in between", r.Views.Between)

	p.head("Not to be confused with")
	p.wrap("  ", r.Apart)

	p.head("Why")
	p.wrap("  ", r.Cause)
	for _, c := range r.Causes {
		p.hang("  - ", c)
	}
	if r.FollowsClose != NoClose {
		p.wrap("  ", "A finding says which it was, as far as the packets show it: "+strings.Join(CauseIDs(), ", ")+" (connrace explain CAUSE).")
	}

	p.head("What to change")
	p.wrap("  ", r.Fix)
	p.knobs("Either, where only large segments are lost", r.Large, "")
	p.knobs("Target", r.Servers, fit.Server)
	p.knobs("Load balancer", r.LBs, fit.LB)
	p.knobs("Load balancer, where the target's host is gone", r.Gone, fit.LB)

	p.head("In the load balancer's log")
	if len(r.Logs) == 0 {
		p.wrap("  ", "Nothing yet: see the races themselves.")
	}
	for _, l := range r.Logs {
		if fit.LB != "" && l.LB != fit.LB {
			continue
		}
		p.setting(l.LB, fmt.Sprintf("%-3s  %s", l.Status, l.Text), l.Note)
	}
	return p.String()
}

// Page is all that is known of a cause of a close.
func (c *CloseCause) Page(fit Fit) string {
	var p page
	p.line("", c.ID+": the target closed "+c.Label)
	p.line("", "a cause of its close (measures.close_cause); the fix follows it")
	p.head("How it shows")
	p.wrap("  ", c.How)
	p.head("What to change")
	p.wrap("  ", c.fix(ClosedWithRequestOutstanding, Timers{}))
	p.knobs("Target", c.Knobs, fit.Server)
	return p.String()
}

// Index lists the rules, one a line, and the causes of a target's close.
func Index() string {
	var p page
	for _, r := range Rules {
		p.line("", fmt.Sprintf("%-36s %-16s %s", r.ID, r.grades(), r.Title))
	}
	p.head("Why a target closed")
	for _, id := range CauseIDs() {
		p.line("", fmt.Sprintf("%-36s %s", id, CauseOf(id).Label))
	}
	return p.String()
}

// grades are the severities that a rule reports.
func (r *Rule) grades() string {
	if r.Mildest == r.Severity {
		return r.Severity.String()
	}
	return r.Severity.String() + " or " + r.Mildest.String()
}

// page writes text in lines of at most pageWidth.
type page struct{ strings.Builder }

func (p *page) line(indent, s string) {
	p.WriteString(strings.TrimRight(indent+s, " \n"))
	p.WriteByte('\n')
}

func (p *page) head(s string) {
	p.line("", "")
	p.line("", strings.ToUpper(s))
}

// wrap breaks a paragraph at spaces; every line begins with indent.
func (p *page) wrap(indent, s string) { p.fill(indent, indent, s) }

// hang is wrap with lead before the first line and as many spaces before the others.
func (p *page) hang(lead, s string) { p.fill(lead, strings.Repeat(" ", len(lead)), s) }

func (p *page) fill(lead, indent, s string) {
	line := lead
	room := false // line holds a word
	for _, w := range strings.Fields(s) {
		switch {
		case !room:
			line += w
		case len(line)+1+len(w) > pageWidth:
			p.line("", line)
			line = indent + w
		default:
			line += " " + w
		}
		room = true
	}
	p.line("", line)
}

func (p *page) label(name, s string) { p.hang(fmt.Sprintf("  %-15s", name), s) }

// knobs writes the settings of one side, those of only one software unless it is "".
func (p *page) knobs(side string, ks []Knob, only string) {
	if len(ks) == 0 {
		return
	}
	p.line("", "")
	p.line("  ", side+":")
	written := false
	for _, k := range ks {
		if only == "" || k.Software == only || slices.Contains(hosts, k.Software) {
			p.setting(k.Software, k.Line, k.Note)
			written = true
		}
	}
	if !written {
		p.wrap("    ", "No setting of "+only+" is known to help.")
	}
}

// setting writes a line that must stay whole, and what is to be said of it below.
func (p *page) setting(name, line, note string) {
	for s := range strings.SplitSeq(line, "\n") {
		p.line("", fmt.Sprintf("    %-10s  %s", name, s))
		name = ""
	}
	if note != "" {
		p.wrap(strings.Repeat(" ", 18), note)
	}
}
