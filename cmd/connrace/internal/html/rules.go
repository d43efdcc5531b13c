package html

import (
	"fmt"
	"strings"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// ruleText is what is known of a rule.
type ruleText struct {
	*detect.Rule
	N       int    // findings
	Drawing string // the sequence as text
}

// rules are those that have findings.
func (p *page) rules() []ruleText {
	n := map[*detect.Rule]int{}
	for _, f := range p.found {
		n[f.Rule]++
	}
	var out []ruleText
	for _, r := range detect.Rules {
		if n[r] > 0 {
			out = append(out, ruleText{r, n[r], strings.Trim(r.Diagram, "\n")})
		}
	}
	return out
}

// captureText is a capture that was read.
type captureText struct {
	Name, Path, Format, From, To, Note string
	Frames, Bytes                      string
}

// mostCaptures is how many are listed.
const mostCaptures = 200

type captures struct {
	Captures []captureText
	Left     int
	Facts    []fact
}

func (p *page) captures() captures {
	var cs captures
	for i := range p.r.Captures {
		if i == mostCaptures {
			cs.Left = len(p.r.Captures) - i
			break
		}
		c := &p.r.Captures[i]
		t := captureText{
			Name: p.r.NameOf(i), Path: text.Clean(c.Path), Format: strings.TrimSpace(c.Format + " " + c.Compression),
			Frames: text.Grouped(c.Frames), Bytes: text.Grouped(uint64(max(c.Bytes, 0))),
		}
		if c.First != 0 {
			t.From, t.To = p.Date(c.First)+" "+p.Time(c.First), p.Date(c.Last)+" "+p.Time(c.Last)
		}
		if c.Truncated {
			t.Note = "cut off or damaged"
		}
		cs.Captures = append(cs.Captures, t)
	}
	x := p.r.Totals()
	cs.Facts = []fact{
		{"Frames", text.Grouped(x.Frames), ""},
		{"TCP segments", text.Grouped(x.Segments), ""},
		{"TCP streams", text.Grouped(x.Streams), ""},
		{"Requests", text.Grouped(x.Requests), ""},
		{"Failed tries", text.Grouped(x.Failed()), fmt.Sprintf("%s, %s", text.Plural(x.LostRequests, "request"), text.Plural(x.FailedConnections, "connection"))},
		{"RSTs after a FIN", text.Grouped(x.RSTAfterFIN.Total), text.Grouped(x.RSTAfterFIN.Explained) + " explained"},
	}
	if x.ClientAborts > 0 {
		cs.Facts = append(cs.Facts, fact{"Given up by clients", text.Grouped(x.ClientAborts), ""})
	}
	if x.Answers5xx > 0 {
		cs.Facts = append(cs.Facts, fact{"Answers that say 5xx", text.Grouped(x.Answers5xx), "the server sent them itself: look in its log"})
	}
	if x.DropsKnown {
		cs.Facts = append(cs.Facts, fact{"Dropped by the kernel", text.Grouped(x.Drops), ""})
	}
	return cs
}
