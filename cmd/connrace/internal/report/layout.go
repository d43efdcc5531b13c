package report

import (
	"cmp"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"

	"connrace/cmd/connrace/internal/text"
)

// defaultWidth is how many columns the table report has at most where nobody says it.
const defaultWidth = 100

// page writes lines of at most width columns, whatever is put into them. Words and units stay
// whole, unless a word alone is wider.
type page struct {
	strings.Builder
	color bool
	width int
}

func newPage(o *Options) page { return page{color: o.Color, width: cmp.Or(o.Width, defaultWidth)} }

// paragraph writes a text in lines; the first begins with lead, the others with as many
// spaces.
func (p *page) paragraph(lead, line string) {
	indent := strings.Repeat(" ", text.Width(lead))
	for i, l := range text.Wrap(text.Together(line), p.width-len(indent), " ") {
		if i == 0 {
			p.WriteString(strings.TrimRight(lead+l, " ") + "\n")
		} else {
			p.WriteString(indent + l + "\n")
		}
	}
}

// shell writes a command for a shell. Where it is too wide it goes on below, behind a backslash, as a shell takes it,
// unless the terminal's own folding takes no more rows.
func (p *page) shell(lead, line, when string) {
	line, comment, _ := strings.Cut(line, "  # ")
	if when == "" {
		when = comment
	}
	indent := strings.Repeat(" ", text.Width(lead))
	const further, goesOn = "  ", " \\"
	parts := []string{""}
	for i, w := range arguments(line) {
		last := &parts[len(parts)-1]
		switch {
		case i == 0:
			*last = w
		case text.Width(lead+further+*last+" "+w+goesOn) <= p.width:
			*last += " " + w
		default:
			parts = append(parts, w)
		}
	}
	folded := page{width: p.width}
	folded.WriteString(indent + strings.Join(parts, goesOn+"\n"+indent+further) + "\n")
	whole := page{width: p.width}
	if whole.WriteString(lead + line + "\n"); whole.rows() == 1 || whole.rows() < folded.rows() {
		p.command(lead, line, when)
		return
	}
	if when != "" {
		p.paragraph(lead, "# "+when)
		lead = indent
	}
	p.WriteString(lead + strings.TrimPrefix(folded.String(), indent))
}

// arguments are the words of a command, a flag with its value and > with its file: what stands in quotes is of one.
func arguments(line string) (all []string) {
	quote, flag := false, false
	from := 0
	for i := range len(line) {
		switch {
		case line[i] == '\'' && (i == 0 || line[i-1] != '\\'):
			quote = !quote
		case line[i] != ' ' || quote:
		case !flag && (line[from:i] == ">" || strings.HasPrefix(line[from:], "-") && !strings.HasPrefix(line[i+1:], "-") && !strings.HasPrefix(line[i+1:], ">")):
			flag = true // goes on with its value
		default:
			all = append(all, line[from:i])
			from, flag = i+1, false
		}
	}
	return append(all, line[from:])
}

// command writes what is to be pasted. It is not folded: where it is too wide the terminal does that,
// and takes nothing away. What is said of it goes before it then.
func (p *page) command(lead, line, when string) {
	switch {
	case when == "":
	case text.Width(lead+line)+len("  # "+when) <= p.width:
		line += "  # " + when
	default:
		p.paragraph(lead, "# "+when)
		lead = strings.Repeat(" ", text.Width(lead))
	}
	p.WriteString(lead + line + "\n")
}

// heading writes a line that stands out.
func (p *page) heading(line string) { p.head(bold, line) }

func (p *page) head(c paint, line string) {
	p.WriteString("\n")
	for _, l := range text.Wrap(line, p.width, " ") {
		p.WriteString(p.paint(c, l) + "\n")
	}
}

// paint is a color or weight of text on a terminal (ECMA-48 SGR).
type paint string

const (
	bold   paint = "1"
	red    paint = "31"
	yellow paint = "33"
)

func (p *page) paint(c paint, s string) string {
	if !p.color || c == "" || s == "" {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}

// column is a column of a table.
type column struct {
	head  string
	right bool
	// Where only one row has a value, or the page is too narrow, it stands in the column into; 0:
	// it stays where it is.
	into  int
	label string // before a value that does not stand below the head
}

// cell is what stands in a row of a column, in lines.
type cell struct {
	lines []string
	paint paint // of the first line
	cuts  int   // so many last lines are cut where they are too long; the others are wrapped
}

// cellOf is a cell of the lines that are not empty.
func cellOf(lines ...string) cell {
	return cell{lines: slices.DeleteFunc(lines, func(l string) bool { return l == "" })}
}

// cutOf is a cell of a line that is cut where it is too long.
func cutOf(line string) cell {
	c := cellOf(line)
	c.cuts = len(c.lines)
	return c
}

func (c *cell) isCut(line int) bool { return line >= len(c.lines)-c.cuts }

func (c *cell) empty() bool { return len(c.lines) == 0 || len(c.lines) == 1 && c.lines[0] == "-" }

const (
	gap     = 2  // how many spaces stand between two columns
	leastOf = 12 // columns that a line is cut to at least
)

// grid is a table that is being fitted to a page.
type grid struct {
	cs     []column
	rows   [][]cell
	gone   []bool
	widths []int
}

// table writes a table without borders. Columns without a value are left out; where the page is
// too narrow, those that can go into others do; where that is not enough, each row is a paragraph.
func (p *page) table(cs []column, rows [][]cell) error {
	g := &grid{cs, rows, make([]bool, len(cs)), make([]int, len(cs))}
	for i := range cs {
		n := 0
		for _, r := range rows {
			if !r[i].empty() {
				n++
			}
		}
		if n == 0 {
			g.gone[i] = true
		} else if n == 1 && len(rows) > 1 && cs[i].into > 0 {
			g.merge(i)
		}
	}
	for i := len(cs) - 1; i >= 0 && !g.fits(p.width); i-- {
		if cs[i].into > 0 && !g.gone[i] {
			g.merge(i)
		}
	}
	if !g.fits(p.width) {
		p.paragraphs(g)
		return nil
	}
	return p.draw(g)
}

// merge puts a column's values into another one.
func (g *grid) merge(i int) {
	g.gone[i] = true
	to := g.cs[i].into
	for _, r := range g.rows {
		if r[i].empty() {
			continue
		}
		if r[to].empty() {
			r[to].lines = nil
		}
		r[to].cuts += r[i].cuts
		r[to].lines = append(slices.Clip(r[to].lines), strings.TrimSpace(g.cs[i].label+" "+strings.Join(r[i].lines, " ")))
	}
}

// fits reports whether the table fits into so many columns, and sets the widths of its own.
func (g *grid) fits(width int) bool {
	least := make([]int, len(g.cs))
	total := -gap
	for i := range g.cs {
		g.widths[i] = 0
		if g.gone[i] {
			continue
		}
		need := func(l string, cut bool) {
			word := widestWord(l)
			if cut {
				word = min(word, leastOf)
			}
			g.widths[i], least[i] = max(g.widths[i], text.Width(l)), max(least[i], word)
		}
		for l := range strings.SplitSeq(g.cs[i].head, "\n") {
			need(l, false)
		}
		for _, r := range g.rows {
			for k, l := range r[i].lines {
				need(l, r[i].isCut(k))
			}
		}
		total += g.widths[i] + gap
	}
	for total > width {
		widest := -1
		for i, w := range g.widths {
			if w > least[i] && (widest < 0 || w > g.widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return false
		}
		g.widths[widest]--
		total--
	}
	return true
}

func widestWord(l string) (n int) {
	for w := range strings.SplitSeq(l, " ") {
		n = max(n, text.Width(w))
	}
	return n
}

// paragraphs writes each row as a paragraph.
func (p *page) paragraphs(g *grid) {
	for _, r := range g.rows {
		var parts []string
		for i := 1; i < len(r); i++ {
			if g.gone[i] || r[i].empty() {
				continue
			}
			var ls []string
			for k, l := range r[i].lines {
				if r[i].isCut(k) {
					l = clip(l, p.width)
				}
				ls = append(ls, l)
			}
			parts = append(parts, strings.TrimSpace(g.cs[i].label+" "+strings.Join(ls, ", ")))
		}
		p.paragraph("", strings.Join(r[0].lines, " ")+"  "+strings.Join(parts, "; "))
	}
}

// clip cuts a line.
func clip(l string, width int) string {
	if text.Width(l) <= width {
		return l
	}
	for text.Width(l) >= width {
		_, n := utf8.DecodeLastRuneInString(l)
		l = l[:len(l)-n]
	}
	return strings.TrimRight(l, " ") + "…"
}

// draw writes the table.
func (p *page) draw(g *grid) error {
	var left []tw.Align
	var padding []tw.Padding
	var head []string
	var last int
	for i := range g.cs {
		if !g.gone[i] {
			last = i
		}
	}
	widths := tw.Mapper[int, int]{}
	for i, c := range g.cs {
		if g.gone[i] {
			continue
		}
		align, pad := tw.AlignLeft, tw.Padding{Right: strings.Repeat(" ", gap), Overwrite: true}
		if c.right {
			align = tw.AlignRight
		}
		if i == last {
			pad = tw.Padding{Overwrite: true}
		}
		widths[len(head)] = g.widths[i] + len(pad.Right)
		left, padding, head = append(left, align), append(padding, pad), append(head, c.head)
	}
	style := tw.CellConfig{
		Alignment:  tw.CellAlignment{PerColumn: left},
		Formatting: tw.CellFormatting{AutoWrap: tw.WrapNone, AutoFormat: tw.Off},
		Padding:    tw.CellPadding{PerColumn: padding},
	}
	separators := tw.Separators{ShowHeader: tw.On, ShowFooter: tw.Off, BetweenColumns: tw.Off, BetweenRows: tw.Off}
	var b strings.Builder
	t := tablewriter.NewTable(&b,
		tablewriter.WithConfig(tablewriter.Config{Header: style, Row: style, Widths: tw.CellWidth{PerColumn: widths}}),
		tablewriter.WithTrimSpace(tw.Off),
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders:  tw.BorderNone,
			Symbols:  tw.NewSymbols(tw.StyleLight),
			Settings: tw.Settings{Separators: separators, Lines: tw.Lines{ShowHeaderLine: tw.On}},
		})),
	)
	t.Header(head)
	for _, r := range g.rows {
		var row []string
		for i := range g.cs {
			if !g.gone[i] {
				row = append(row, strings.Join(p.lines(&r[i], g.widths[i]), "\n"))
			}
		}
		if err := t.Append(row); err != nil {
			return err
		}
	}
	if err := t.Render(); err != nil {
		return err
	}
	for l := range strings.Lines(b.String()) {
		p.WriteString(strings.TrimRight(l, " \n") + "\n")
	}
	return nil
}

// lines are those of a cell, fitted to its column.
func (p *page) lines(c *cell, width int) (out []string) {
	for i, l := range c.lines {
		ls := []string{clip(l, width)}
		if !c.isCut(i) {
			ls = text.Wrap(l, width, " ")
		}
		if i == 0 {
			for k := range ls {
				ls[k] = p.paint(c.paint, ls[k])
			}
		}
		out = append(out, ls...)
	}
	return out
}

// Clock shows times: with the date unless all are of one day.
type Clock struct {
	Zone   *time.Location
	OneDay bool
}

// NewClock makes a clock for times that lie at those given and between them.
func NewClock(zone *time.Location, times []int64) *Clock {
	c := &Clock{Zone: cmp.Or(zone, time.UTC), OneDay: true}
	for _, t := range times {
		c.OneDay = c.OneDay && c.Date(t) == c.Date(times[0])
	}
	return c
}

func (c *Clock) at(ns int64) time.Time { return time.Unix(0, ns).In(c.Zone) }

// Date is the day of a time.
func (c *Clock) Date(ns int64) string { return c.at(ns).Format(time.DateOnly) }

// Time is the time of day.
func (c *Clock) Time(ns int64) string {
	if ns == 0 {
		return "no time"
	}
	return c.at(ns).Format("15:04:05.000000")
}

// Clock is the time of day to the second.
func (c *Clock) Clock(ns int64) string { s, _, _ := strings.Cut(c.Time(ns), "."); return s }

// Stamp is a time with its date where that is needed.
func (c *Clock) Stamp(ns int64) string {
	if c.OneDay || ns == 0 {
		return c.Time(ns)
	}
	return c.Date(ns) + " " + c.Time(ns)
}

// Second is a time to the second, with its date where that is needed.
func (c *Clock) Second(ns int64) string { s, _, _ := strings.Cut(c.Stamp(ns), "."); return s }

// Name is what the zone is called: UTC, or its abbreviation at a time.
func (c *Clock) Name(ns int64) string { return c.at(ns).Format("MST") }

// writeAll writes a finished page, with plain spaces between numbers and their units.
func (p *page) writeAll(w io.Writer) error {
	_, err := io.WriteString(w, text.Plain(p.String()))
	return err
}
