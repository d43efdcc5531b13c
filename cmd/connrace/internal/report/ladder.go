package report

import (
	"fmt"
	"strings"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

// ladder draws the evidence of a finding as text: the load balancer on the left, the target
// on the right, relative sequence numbers, and a cross where segments crossed.
//
//	285  15.000036  | <-- F. 774 ack 332 -------\ /--- |  FIN: has not seen the request
//	288  15.000208  | --- P. 332:663(331) ack 774--X--> |  first octet of the request
//
// Of joined captures the arrow of a segment that never arrived ends short of the line, in an x, and
// that of one whose alleged sender did not send it begins short of it, in an o.
type ladder struct {
	a     *Analysis
	f     *detect.Finding
	clock *Clock
	base  Relative
	width int    // between the two lines
	cross [2]int // indexes of the two that crossed; -1: none did
	lines []string
}

// mostRungs bounds what is drawn of one finding: up to 20 RSTs answer an upload.
const mostRungs = 16

// drawLadder is the ladder of a finding in lines; nil if it is not about one connection.
func drawLadder(a *Analysis, f *detect.Finding, c *Clock) []string {
	if !f.HasStream || len(f.Evidence) == 0 {
		return nil
	}
	es := Story(f)
	l := &ladder{a: a, f: f, clock: c, base: NewRelative(f, es), cross: crossed(f, es)}
	labels := make([]string, len(es))
	for i := range es {
		labels[i] = l.label(es[i])
		l.width = max(l.width, len(labels[i]))
	}
	l.width = max(l.width+16, 34)
	l.head()
	for i := range es {
		if i > 0 && i == len(es)-2 && len(es) > mostRungs {
			l.rest(fmt.Sprintf("… %d more …", len(es)-mostRungs))
		}
		if i < mostRungs-2 || i >= len(es)-2 {
			l.rung(es[i], labels[i], i)
		}
		if i == 0 && f.IdleFrom != nil && f.Measures.Idle.Known {
			l.rest("… idle " + text.Span(f.Measures.Idle.NS) + " …")
		}
	}
	return l.lines
}

// crossed are the close and the request of a race that crossed.
func crossed(f *detect.Finding, es []*detect.Evidence) [2]int {
	pair := [2]int{-1, -1}
	if !f.Rule.Crossed {
		return pair
	}
	shut, request := first(f, detect.RoleCloseNotify, detect.RoleFIN, detect.RoleRST), first(f, detect.RoleRequest)
	for i := range es {
		if es[i].Stream == f.Stream && (es[i].Frame == shut || es[i].Frame == request) {
			if pair[0] < 0 {
				pair[0] = i
			} else if pair[1] < 0 {
				pair[1] = i
			}
		}
	}
	// A reply RST that stands in for a FIN that was not captured has not crossed.
	if pair[1] < 0 || es[pair[0]].FromLB == es[pair[1]].FromLB || es[pair[0]].Role == detect.RoleRequest && es[pair[1]].Ack.After(es[pair[0]].Seq) {
		return [2]int{-1, -1}
	}
	return pair
}

func sideOf(e *detect.Evidence) int {
	if e.FromLB {
		return 0
	}
	return 1
}

// label writes a segment as tcpdump does.
func (l *ladder) label(e *detect.Evidence) string {
	seq, ack := l.base.Numbers(l.f, e)
	s := fmt.Sprintf("%s %d", e.Flags, seq)
	if e.Len > 0 {
		s += fmt.Sprintf(":%d(%d)", int64(seq)+int64(e.Len), e.Len)
	}
	if e.Flags.Has(tcpstate.ACK) {
		s += fmt.Sprintf(" ack %d", ack)
	}
	return s
}

func (l *ladder) head() {
	l.lines = append(l.lines, strings.TrimRight(fmt.Sprintf("%8s  %-*s  LB%*starget", "frame", l.stampWidth(), "time "+l.clock.Name(l.f.Time), l.width-4, ""), " "))
}

func (l *ladder) stampWidth() int { return len(l.clock.Stamp(l.f.Time)) }

// rest writes a line without a segment.
func (l *ladder) rest(line string) {
	pad := max(l.width+2-len([]rune(line)), 0)
	l.lines = append(l.lines, fmt.Sprintf("%8s  %*s  |%*s%s%*s|", "", l.stampWidth(), "", pad/2, "", line, pad-pad/2, ""))
}

// rung writes a segment.
func (l *ladder) rung(e *detect.Evidence, label string, i int) {
	bar := []byte(strings.Repeat("-", l.width))
	if e.FromLB {
		bar[l.width-1] = '>'
	} else {
		bar[0] = '<'
	}
	copy(bar[4:], " "+label+" ")
	at := l.width - 7
	switch i {
	case l.cross[0]:
		copy(bar[at:], `\ /`)
	case l.cross[1]:
		bar[at+1] = 'X'
	}
	l.stop(bar, e)
	note := text.Clean(e.Note)
	if e.Stream != l.f.Stream {
		note += fmt.Sprintf(" (stream %d)", e.Stream)
	}
	if l.f.Lost && e.Role == detect.RoleRequest && e.Stream == l.f.Stream {
		note += ": FAILED"
	}
	frame := fmt.Sprint(e.Frame)
	if e.Capture != l.f.Capture {
		frame = fmt.Sprintf("%d:%d", l.a.capture(e.Capture), e.Frame)
	}
	l.lines = append(l.lines, strings.TrimRight(fmt.Sprintf("%8s  %*s  | %s |  %s", frame, l.stampWidth(), l.clock.Stamp(l.a.At(l.f, e)), bar, note), " "))
}

// stop lets the arrow of a segment that one end did not see begin or end on the path.
func (l *ladder) stop(bar []byte, e *detect.Evidence) {
	if len(l.a.Points) < 2 {
		return
	}
	const short = 6
	for _, s := range l.a.Sightings(l.f, e) {
		mark := byte('x')
		switch {
		case !s.Absent:
		case s.Point == len(l.a.Points)-1:
			if !e.FromLB {
				mark = 'o'
			}
			copy(bar[len(bar)-short:], string(mark)+strings.Repeat(" ", short))
		case s.Point == 0:
			if e.FromLB {
				mark = 'o'
			}
			copy(bar, "  "+string(mark))
		}
	}
}
