package report

import (
	"cmp"
	"io"
	"strings"
	"time"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"

	"connrace/cmd/connrace/internal/text"
)

// width is how many columns the table report has at most.
const width = 100

// page writes lines of at most width columns, whatever is put into them.
type page struct {
	strings.Builder
	color bool
}

// paragraph writes a text in lines; the first begins with lead, the others with as many
// spaces.
func (p *page) paragraph(lead, line string) {
	indent := strings.Repeat(" ", text.Width(lead))
	for i, l := range text.Wrap(line, width-len(indent), " ") {
		if i == 0 {
			p.WriteString(strings.TrimRight(lead+l, " ") + "\n")
		} else {
			p.WriteString(indent + l + "\n")
		}
	}
}

// heading writes a line that stands out.
func (p *page) heading(line string) {
	p.WriteString("\n")
	for _, l := range text.Wrap(line, width, " ") {
		p.WriteString(p.paint(bold, l) + "\n")
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
	width int
	right bool
	after string // where its content may be broken besides at spaces
}

// gap is how many spaces stand between two columns.
const gap = 2

// table writes a table without borders. A cell may have several lines.
func (p *page) table(cs []column, rows [][]string) error {
	left := make([]tw.Align, len(cs))
	head := make([]string, len(cs))
	between := tw.Padding{Right: strings.Repeat(" ", gap), Overwrite: true}
	padding := make([]tw.Padding, len(cs))
	widths := tw.Mapper[int, int]{}
	for i, c := range cs {
		left[i] = tw.AlignLeft
		if c.right {
			left[i] = tw.AlignRight
		}
		head[i] = c.head
		padding[i] = between
		if i == len(cs)-1 {
			padding[i] = tw.Padding{Overwrite: true}
		}
		widths[i] = c.width + len(padding[i].Right)
	}
	cell := tw.CellConfig{
		Alignment:  tw.CellAlignment{PerColumn: left},
		Formatting: tw.CellFormatting{AutoWrap: tw.WrapNone, AutoFormat: tw.Off},
		Padding:    tw.CellPadding{PerColumn: padding},
	}
	separators := tw.Separators{ShowHeader: tw.On, ShowFooter: tw.Off, BetweenColumns: tw.Off, BetweenRows: tw.Off}
	var b strings.Builder
	t := tablewriter.NewTable(&b,
		tablewriter.WithConfig(tablewriter.Config{Header: cell, Row: cell, Widths: tw.CellWidth{PerColumn: widths}}),
		tablewriter.WithTrimSpace(tw.Off),
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{
			Borders:  tw.BorderNone,
			Symbols:  tw.NewSymbols(tw.StyleLight),
			Settings: tw.Settings{Separators: separators, Lines: tw.Lines{ShowHeaderLine: tw.On}},
		})),
	)
	t.Header(head)
	for _, r := range rows {
		if err := t.Append(r); err != nil {
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

// cell breaks a text into lines as wide as the column.
func (c *column) cell(texts ...string) []string {
	var lines []string
	for _, t := range texts {
		if t != "" {
			lines = append(lines, text.Wrap(t, c.width, " "+c.after)...)
		}
	}
	return lines
}

// cut shortens lines to at most n, the last with an ellipsis.
func cut(lines []string, n, columns int) []string {
	if len(lines) <= n {
		return lines
	}
	last := lines[n-1]
	if len(last) >= columns {
		last = last[:columns-1]
	}
	return append(lines[:n-1:n-1], last+"…")
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

// Stamp is a time with its date where that is needed.
func (c *Clock) Stamp(ns int64) string {
	if c.OneDay || ns == 0 {
		return c.Time(ns)
	}
	return c.Date(ns) + " " + c.Time(ns)
}

// Name is what the zone is called: UTC, or its abbreviation at a time.
func (c *Clock) Name(ns int64) string { return c.at(ns).Format("MST") }

// writeAll writes a finished page.
func (p *page) writeAll(w io.Writer) error {
	_, err := io.WriteString(w, p.String())
	return err
}
