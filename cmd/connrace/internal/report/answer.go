package report

import (
	"fmt"
	"slices"
	"strings"

	"connrace/cmd/connrace/internal/diagnosis"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// mostProblems is how many problems are told at length.
const mostProblems = 3

// screen is how many lines there are to the end of the answer: what a terminal shows at once.
const screen = 39

// mostSentences is how many may be left out of what to do.
const mostSentences = 6

// answer tells the problems, the first few at length as long as they fit on the screen, of the
// others what they are. What there is to paste and to check is told in any case, of the first one with less
// and less around it until that fits.
func (t *tables) answer(d *diagnosis.Diagnosis) {
	told := t.told(d)
	var before *diagnosis.Problem
	for i, q := range told {
		others := len(told) - i - 1
		if others > 0 {
			others += 2 // with a blank line and a heading
		}
		tell := func(left omission) (p page, fits bool) {
			p = page{color: t.color, width: t.width}
			p.problem(q, before, left)
			return p, t.rows()+p.rows()+others <= screen
		}
		p, fits := tell(nothing)
		if i == 0 {
			for left := nothing + 1; !fits && !t.o.Verbose && left < omissions; left++ {
				p, fits = tell(left)
			}
		}
		before = q
		if i > 0 && !t.o.Verbose && (i >= mostProblems || !fits) {
			t.heading("Also (-v tells more)")
			for _, q := range told[i:] {
				t.paragraph(fmt.Sprintf("%2d. ", q.Number), q.Title+": "+brief(q))
			}
			return
		}
		t.WriteString(p.String())
	}
}

// omission is what is left out of a problem that would not fit on the screen: all up to it.
type omission uint8

const (
	nothing   omission = iota
	noTimer            // that there is none
	bases              // from what it is known who is who
	lbNotes            // what is said of the settings of the load balancer
	notes              // of all settings
	further            // all but the first setting of a box, unless it is one of what it may be
	noRace             // what is said of timers but for two that race
	guesses            // of what it may be, all but the first
	sentences          // the last of what to do, and one more each from here on
	omissions = sentences + mostSentences
)

// rows is how many rows of a terminal the page takes, which folds what is longer.
func (p *page) rows() (n int) {
	for l := range strings.Lines(p.String()) {
		n += max(1, (text.Width(strings.TrimSuffix(l, "\n"))+p.width-1)/max(p.width, 1))
	}
	return n
}

// told are the problems that are told: where info findings are not shown, not those that have no others.
func (t *tables) told(d *diagnosis.Diagnosis) (told []*diagnosis.Problem) {
	for i := range d.Problems {
		if q := &d.Problems[i]; q.Severity > detect.Info || q.Rule == nil || t.o.showsInfo() {
			told = append(told, q)
		}
	}
	return told
}

// brief is what came of a problem, in a few words.
func brief(q *diagnosis.Problem) string {
	var parts []string
	if n := q.Failed(); n > 0 {
		parts = append(parts, text.Plural(n, "failed try"))
	}
	if q.OpenTries > 0 {
		parts = append(parts, text.Grouped(q.OpenTries)+" unanswered at the end")
	}
	if parts == nil && q.Rule == nil {
		return "no connection failed at " + q.Where()
	}
	if parts == nil {
		parts = append(parts, text.Plural(q.Count, "finding")+", nothing failed")
	}
	return strings.Join(parts, ", ") + " at " + q.Where()
}

const (
	labelled = "         " // below a label
	setting  = "           "
)

// problem tells a problem at length, but not again what was said of the one before.
func (p *page) problem(q, before *diagnosis.Problem, left omission) {
	c := bold
	if s := severityPaint(q.Severity); s != "" {
		c += ";" + s
	}
	p.head(c, fmt.Sprintf("%d. %s", q.Number, q.Title))
	p.paragraph("  what   ", q.What)
	p.paragraph("  why    ", q.Why)
	if before == nil || before.Who() != q.Who() {
		who := q.Who()
		if left >= bases {
			who = q.Names()
		}
		p.paragraph("  who    ", who)
	}
	if left < noTimer || left < noRace && !q.Timer.None() || q.Timer.Race != nil {
		p.paragraph("  timer  ", q.Timer.Text())
	}
	fix := q.Fix
	for ; left >= sentences; left-- {
		fix = lessLast(fix)
	}
	p.paragraph("  fix    ", fix)
	p.settings(q, left)
	if before == nil || !slices.Equal(before.Check, q.Check) {
		label := "  check  "
		for _, l := range q.Check {
			p.shell(label, l.Line, l.When)
			label = labelled
		}
	}
	if q.FixedIf != "" && (before == nil || before.FixedIf != q.FixedIf) {
		p.paragraph(labelled, q.FixedIf)
	}
	more := ""
	if left >= lbNotes {
		more = "-v tells more"
	}
	p.shell("  more   ", q.More, more)
}

// lessLast is a text without its last sentence, if it has two.
func lessLast(s string) string {
	if i := strings.LastIndex(s, ". "); i >= 0 {
		return s[:i+1]
	}
	return s
}

// Told is what the table tells of a problem at length, as plain text for somewhere else.
func Told(q *diagnosis.Problem) string {
	p := page{width: defaultWidth}
	p.problem(q, nil, nothing)
	return text.Plain(strings.TrimPrefix(p.String(), "\n"))
}

// settings are the lines to paste, those of one box together.
func (p *page) settings(q *diagnosis.Problem, left omission) {
	box, wide := "", 0
	for _, l := range q.Lines {
		wide = max(wide, text.Width(l.Software))
	}
	for i := range q.Lines {
		l := &q.Lines[i]
		if b := q.Box(l); b != box {
			box = b
			p.paragraph(labelled, box)
		} else if left >= further && !l.Likely || left >= guesses {
			continue
		}
		lead := setting
		if l.Likely {
			lead = fmt.Sprintf("%s%-*s  ", setting, wide, l.Software)
		}
		for s := range strings.SplitSeq(l.Line, "\n") {
			p.command(lead, s, "")
			lead = strings.Repeat(" ", text.Width(lead))
		}
		if l.Likely {
			continue
		}
		if l.Note != "" && left < notes && (left < lbNotes || !l.LB) {
			p.paragraph(setting+"  ", "("+l.Note+")")
		}
	}
}
