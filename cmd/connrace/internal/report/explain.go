package report

import (
	"fmt"
	"strings"

	"connrace/cmd/connrace/internal/diagnosis"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// proofs show the evidence of the first finding of the worst problem, with Options.Verbose of all.
func (t *tables) proofs(d *diagnosis.Diagnosis) {
	told := t.told(d)
	if len(told) == 0 {
		return
	}
	if t.o.Verbose {
		t.heading("Frame by frame")
	}
	for i := range t.report.Analyses {
		a := &t.report.Analyses[i]
		fs, _ := t.shown(a)
		for _, f := range fs {
			if t.o.Verbose {
				t.proof(a, f)
			} else if d.ProblemOf(f) == told[0] && (f.Lost || told[0].Failed() == 0) {
				t.heading("The first of them, frame by frame")
				t.proof(a, f)
				return
			}
		}
	}
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
	for _, l := range Streams(f, t.o.ShowQuery) {
		t.paragraph("         ", l)
	}
	before := ""
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
		if e.Comment() != "" && e.Comment() != before {
			t.paragraph("           comment: ", text.Clean(e.Comment()))
		}
		before = e.Comment()
	}
	filter := f.DisplayFilter()
	if len(filter) > t.width-20 && f.HasStream {
		filter = fmt.Sprintf("tcp.stream eq %d", f.Stream)
		if f.Inexact {
			filter = f.TupleFilter()
		}
	}
	for _, o := range t.report.OtherFilters(a, f) {
		filter += ", in " + o.Capture + " " + o.Text
	}
	if filter != "" {
		t.paragraph(labelled+"Wireshark: ", filter)
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
