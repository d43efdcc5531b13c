// Package html writes the report as one page that a browser opens from disk: nothing is
// loaded, nothing but its own script and style is allowed to run, and all text from packets
// is escaped.
package html

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"connrace/cmd/connrace/internal/baseline"
	"connrace/cmd/connrace/internal/diagnosis"
	"connrace/cmd/connrace/internal/fill"
	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

var (
	//go:embed templates
	templates embed.FS
	//go:embed style.css
	style string
	//go:embed script.js
	script string
)

// filler fills in templates: fill.Templates, and in tests html/template's.
type filler interface {
	ExecuteTemplate(w io.Writer, name string, data any) error
}

// Write writes the page.
func Write(w io.Writer, r *report.Report, o *report.Options) error {
	t, err := fill.ParseFS(templates, "templates/*.html", map[string]fill.Func{"prose": func(args ...any) (any, error) {
		s, ok := args[0].(string)
		if !ok {
			return nil, fmt.Errorf("%T is no prose", args[0])
		}
		return prose(s), nil
	}})
	if err != nil {
		return err
	}
	return write(w, r, o, t)
}

func write(w io.Writer, r *report.Report, o *report.Options, t filler) error {
	p := newPage(r, o)
	b := bufio.NewWriterSize(w, 1<<16)
	fs := p.findings()
	sections := p.sections(fs)
	if err := t.ExecuteTemplate(b, "head", p.head(sections)); err != nil {
		return err
	}
	for _, s := range sections {
		if err := t.ExecuteTemplate(b, s.Template, s); err != nil {
			return err
		}
	}
	if err := fs.writeParcels(b, t); err != nil {
		return err
	}
	if err := embedReport(b, r); err != nil {
		return err
	}
	if err := t.ExecuteTemplate(b, "foot", template.JS(script)); err != nil {
		return err
	}
	return b.Flush()
}

// embedReport writes the report for --baseline. Browsers do not run what is no script by its type.
// It is written in ASCII: what turns the direction of a text or breaks a line has no place in the
// source of the page either.
func embedReport(w *bufio.Writer, r *report.Report) error {
	var doc bytes.Buffer
	if err := report.Embedded(&doc, r); err != nil {
		return err
	}
	w.WriteString(baseline.Element)
	for _, c := range doc.String() {
		if c < utf8.RuneSelf {
			w.WriteByte(byte(c))
			continue
		}
		for _, u := range utf16.Encode([]rune{c}) {
			fmt.Fprintf(w, `\u%04x`, u)
		}
	}
	_, err := w.WriteString(baseline.EndElement + "\n")
	return err
}

// section is a part of the page with a heading: a template and what it shows. To add one,
// write templates/NAME.html and name it in page.sections.
type section struct {
	ID       string // of the element, and for links
	Title    string
	Template string
	Data     any
}

// sections are the parts of the page in their order; those with nothing to show are left
// out.
func (p *page) sections(fs *findings) []section {
	s := []section{{"verdict", "", "verdict", p.verdict()}}
	if js := p.joined(); len(js) > 0 {
		s = append(s, section{"joined", "Captures of the same connections", "joined", js})
	}
	if ts := p.cards(); len(ts.Cards) > 0 {
		s = append(s, section{"targets", "Targets", "targets", ts})
	}
	if ts := p.timelines(); len(ts) > 0 {
		s = append(s, section{"timeline", "Timeline", "timeline", ts})
	}
	if p.r.Baseline != nil {
		s = append(s, section{"baseline", "Before and after", "baseline", p.baseline()})
	}
	if p.r.Log != nil {
		s = append(s, section{"log", "The load balancer's log", "log", p.log()})
	}
	if len(fs.Groups) > 0 {
		s = append(s, section{"findings", "Findings", "findings", fs})
		s = append(s, section{"rules", "What the rules mean", "rules", p.rules()})
	}
	if ns := p.r.Notes(); len(ns) > 0 {
		s = append(s, section{"notes", "What may have hidden something", "notes", ns})
	}
	return append(s, section{"captures", "What was read", "captures", p.captures()})
}

// head is what stands before the sections.
type head struct {
	Policy   string
	Style    template.CSS
	Title    string
	Captures string
	Period   string
	Sections []section
}

func (p *page) head(sections []section) head {
	h := head{Policy: policy(), Style: template.CSS(style), Captures: p.names(), Period: p.period()}
	h.Title = "connrace: " + h.Captures
	for _, s := range sections {
		if s.Title != "" {
			h.Sections = append(h.Sections, s)
		}
	}
	return h
}

// policy is the page's Content-Security-Policy: its own script and style, by their hashes,
// and nothing else.
func policy() string {
	hash := func(s string) string {
		h := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(h[:]) + "'"
	}
	return "default-src 'none'; script-src " + hash(script) + "; style-src " + hash(style) +
		"; base-uri 'none'; form-action 'none'"
}

// page is a report on its way to HTML.
type page struct {
	*report.Clock
	r     *report.Report
	o     *report.Options
	found []*found
}

// found is a finding that is shown.
type found struct {
	diagnosis.Found
	a  *report.Analysis
	id int
}

func newPage(r *report.Report, o *report.Options) *page {
	p := &page{Clock: report.NewClock(o.Location, r.Times()), r: r, o: o}
	for i := range r.Analyses {
		a := &r.Analyses[i]
		for _, f := range a.Found(a.Result.Findings) {
			if o.Shows(f.Finding) {
				p.found = append(p.found, &found{f, a, f.ID})
			}
		}
	}
	return p
}

// names are the captures by the names of their files.
func (p *page) names() string {
	var s string
	for i := range p.r.Captures {
		switch {
		case i == 3 && len(p.r.Captures) > 4:
			return s + " and " + text.Plural(uint64(len(p.r.Captures)-i), "other")
		case i > 0:
			s += ", "
		}
		s += p.r.NameOf(i)
	}
	return s
}

// period is when the captures were taken.
func (p *page) period() string {
	ts := p.r.Times()
	if len(ts) == 0 {
		return ""
	}
	const layout = "2006-01-02 15:04:05"
	from, to := time.Unix(0, slices.Min(ts)).In(p.Zone), time.Unix(0, slices.Max(ts)).In(p.Zone)
	s := from.Format(layout) + " to "
	if from.Format(time.DateOnly) == to.Format(time.DateOnly) {
		return s + to.Format("15:04:05 MST")
	}
	return s + to.Format(layout+" MST")
}

// captureOf is the index of a capture as its finding counts.
func (f *found) captureOf(i int) int {
	if i >= 0 && i < len(f.a.Captures) {
		return f.a.Captures[i]
	}
	return i
}

// frame names a frame, with its file where there are several.
func (f *found) frame(e *detect.Evidence) string {
	n := uintText(e.Frame)
	if len(f.a.Captures) > 1 {
		n = "file " + uintText(uint64(f.captureOf(e.Capture))) + ": " + n
	}
	return n
}
