package report

import (
	"fmt"
	"slices"
	"strings"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// advice is what is said of several findings of one rule: why, and what to change.
type advice struct {
	cause, fix string
	findings   []*detect.Finding
}

// explanations say for each kind of finding what happened, why, and what to change, with
// the proof of the first.
func (t *tables) explanations(a *Analysis, fs []*detect.Finding) {
	for _, of := range ofRules(fs) {
		t.explain(a, of[0].Rule, of)
	}
}

// ofRules divides findings by rule, in the order in which rules decide.
func ofRules(fs []*detect.Finding) [][]*detect.Finding {
	var out [][]*detect.Finding
	for _, r := range detect.Rules {
		var of []*detect.Finding
		for _, f := range fs {
			if f.Rule == r {
				of = append(of, f)
			}
		}
		if of != nil {
			out = append(out, of)
		}
	}
	return out
}

// advices divides findings of one rule by what is said of them, the commonest first.
func advices(fs []*detect.Finding) []*advice {
	var groups []*advice
	for _, f := range fs {
		i := slices.IndexFunc(groups, func(g *advice) bool { return g.cause == f.Cause && g.fix == f.Fix })
		if i < 0 {
			i = len(groups)
			groups = append(groups, &advice{cause: f.Cause, fix: f.Fix})
		}
		groups[i].findings = append(groups[i].findings, f)
	}
	slices.SortStableFunc(groups, func(x, y *advice) int { return len(y.findings) - len(x.findings) })
	return groups
}

func (t *tables) explain(a *Analysis, r *detect.Rule, fs []*detect.Finding) {
	t.heading(fmt.Sprintf("%s: %s (%s)", r.ID, r.Title, text.Plural(uint64(len(fs)), "finding")))
	t.paragraph("  what   ", r.Sequence)
	groups := advices(fs)
	for i, g := range groups {
		if i == mostCauses && !t.o.Verbose {
			t.paragraph("         ", fmt.Sprintf("… and %s more (-v)", text.Plural(uint64(len(groups)-i), "cause")))
			break
		}
		t.advise(a, r, g, len(groups) > 1)
	}
	if t.o.Verbose {
		for _, f := range fs {
			t.proof(a, f)
		}
	} else {
		t.proof(a, fs[0])
	}
	t.paragraph("  more   ", "connrace explain "+r.ID)
}

// mostCauses is how many causes of one rule are told.
const mostCauses = 3

// advise writes a cause and its fix; of says to which findings they belong.
func (t *tables) advise(a *Analysis, r *detect.Rule, g *advice, of bool) {
	who := ""
	if of {
		var ids []string
		for i, f := range g.findings {
			if i == 5 {
				ids = append(ids, "…")
				break
			}
			ids = append(ids, fmt.Sprintf("#%d", a.id(f)))
		}
		who = fmt.Sprintf(" (%s of them: %s)", text.Grouped(uint64(len(g.findings))), strings.Join(ids, " "))
	}
	t.paragraph("  why    ", text.Clean(g.cause)+who)
	t.paragraph("  fix    ", text.Clean(g.fix))
}

// proof writes the evidence of a finding frame by frame.
func (t *tables) proof(a *Analysis, f *detect.Finding) {
	t.paragraph(fmt.Sprintf("  #%-5d ", a.id(f)), text.Clean(f.Summary))
	if g := text.Clean(f.Grounds); g != "" {
		t.paragraph("         ", fmt.Sprintf("%s: %s", f.Confidence, g))
	}
	if q := f.Request; q != nil && (q.TraceID != "" || q.RequestID != "") {
		t.paragraph("         ", strings.TrimSpace(word("X-Amzn-Trace-Id: ", text.ASCII(q.TraceID))+word("  X-Request-Id: ", text.ASCII(q.RequestID))))
	}
	if m := &f.Measures; m.Retried {
		t.paragraph("         ", fmt.Sprintf("the same request came again in frame %d, stream %d", m.RetryFrame, m.RetryStream))
	}
	for _, e := range Story(f) {
		lead := fmt.Sprintf("         %s%7d  %s  %-6s  %-4s ", t.file(a, e.Capture), e.Frame, t.clock.Stamp(e.Time), who(e), e.Flags)
		line := text.Clean(e.Note)
		if e.Len > 0 {
			line += fmt.Sprintf(", %s", text.Plural(uint64(e.Len), "byte"))
		}
		if f.HasStream && e.Stream != f.Stream {
			line += fmt.Sprintf(" (stream %d)", e.Stream)
		}
		t.paragraph(lead, line)
	}
	filter := f.DisplayFilter()
	if len(filter) > width-20 && f.HasStream {
		filter = fmt.Sprintf("tcp.stream eq %d", f.Stream)
		if f.Inexact {
			filter = f.TupleFilter()
		}
	}
	if filter != "" {
		t.paragraph("         Wireshark: ", filter)
	}
}

// file names the capture of a frame where there are several.
func (t *tables) file(a *Analysis, i int) string {
	if len(a.Captures) < 2 {
		return ""
	}
	return fmt.Sprintf("file %d ", a.capture(i))
}

func who(e *detect.Evidence) string {
	if e.FromLB {
		return "LB"
	}
	return "target"
}
