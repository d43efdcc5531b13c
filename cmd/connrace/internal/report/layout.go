package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/pkg/twwidth"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"
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
func (p *page) paragraph(lead, text string) {
	indent := strings.Repeat(" ", columns(lead))
	for i, l := range wrap(text, width-len(indent), " ") {
		if i == 0 {
			p.WriteString(strings.TrimRight(lead+l, " ") + "\n")
		} else {
			p.WriteString(indent + l + "\n")
		}
	}
}

// heading writes a line that stands out.
func (p *page) heading(text string) {
	p.WriteString("\n")
	for _, l := range wrap(text, width, " ") {
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
			lines = append(lines, wrap(t, c.width, " "+c.after)...)
		}
	}
	return lines
}

// wrap breaks a text into lines of at most n columns: behind one of the characters in
// breaks, in the middle of a word only where one is too long. Spaces at a break vanish.
func wrap(s string, n int, breaks string) []string {
	var lines []string
	for s != "" {
		end, at := fit(s, n, breaks)
		if end < len(s) && at > 0 {
			end = at
		}
		lines = append(lines, strings.TrimRight(s[:end], " "))
		s = strings.TrimLeft(s[end:], " ")
	}
	return lines
}

// fit is how much of s fits into n columns, at least one character, and where in that the
// last place to break is, 0 where there is none.
func fit(s string, n int, breaks string) (end, at int) {
	for i, r := range s {
		next := i + utf8.RuneLen(r)
		// The whole is measured: characters combine.
		if columns(s[:next]) > n && i > 0 {
			if r == ' ' {
				at = i
			}
			break
		}
		end = next
		if strings.ContainsRune(breaks, r) {
			at = end
		}
	}
	return end, at
}

// columns is how wide a text is on a terminal.
func columns(s string) int {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return twwidth.Width(s)
		}
	}
	return len(s)
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

// grouped writes a number with commas between groups of three digits.
func grouped(n uint64) string {
	s := strconv.FormatUint(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// plural writes "1 request", "2 requests", "1,234 requests".
func plural(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return grouped(n) + " " + noun + "s"
}

// span writes a duration as people read it: 31.2 ms, 5.001874 s.
func span(ns int64) string {
	switch a := max(ns, -ns); {
	case a < 1e6:
		return fmt.Sprintf("%d µs", ns/1e3)
	case a < 1e9:
		return trimZeros(strconv.FormatFloat(float64(ns)/1e6, 'f', 1, 64)) + " ms"
	default:
		s := strconv.FormatFloat(float64(ns)/1e9, 'f', 6, 64)
		if len(s) > 8 {
			s = s[:max(8, strings.IndexByte(s, '.'))]
		}
		return trimZeros(s) + " s"
	}
}

// length writes how long something took, without a precision that nobody needs.
func length(ns int64) string {
	if ns < int64(time.Minute) {
		return span(ns)
	}
	return time.Duration(ns).Round(time.Second).String()
}

func trimZeros(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// clock shows times: with the date unless all are of one day.
type clock struct {
	zone *time.Location
	day  string // the day of all, "" where there are several
}

func newClock(zone *time.Location, times []int64) *clock {
	if zone == nil {
		zone = time.UTC
	}
	c := &clock{zone: zone}
	for i, t := range times {
		d := c.date(t)
		if i > 0 && d != c.day {
			c.day = ""
			break
		}
		c.day = d
	}
	return c
}

func (c *clock) date(ns int64) string { return time.Unix(0, ns).In(c.zone).Format(time.DateOnly) }

func (c *clock) time(ns int64) string {
	if ns == 0 {
		return "no time"
	}
	return time.Unix(0, ns).In(c.zone).Format("15:04:05.000000")
}

// stamp is a time with its date where that is needed.
func (c *clock) stamp(ns int64) string {
	if c.day != "" || ns == 0 {
		return c.time(ns)
	}
	return c.date(ns) + " " + c.time(ns)
}

// name is what the zone is called: UTC, or its abbreviation at a time.
func (c *clock) name(ns int64) string { return time.Unix(0, ns).In(c.zone).Format("MST") }

// writeAll writes a finished page.
func (p *page) writeAll(w io.Writer) error {
	_, err := io.WriteString(w, p.String())
	return err
}
