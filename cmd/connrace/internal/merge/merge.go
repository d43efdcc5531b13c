// Package merge makes one report of many: those of several hosts, or days. It reads what package
// report has written as JSON, and makes findings and figures of it again; the answer to them is
// worked out anew.
package merge

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"connrace/cmd/connrace/internal/baseline"
	"connrace/cmd/connrace/internal/report"
	"connrace/detect"
	"connrace/tcpstate"
)

// Bounds of what is kept of all reports together. Of findings beyond, the first of which are kept,
// only their number is, as live does it; captures and targets beyond are counted with others.
const (
	mostFindings = 20_000
	mostCaptures = 4096
	mostTargets  = 1 << 15
	mostGroups   = 1 << 14
	mostLBs      = 64
	mostAdvice   = 8
)

// Merger gathers reports.
type Merger struct {
	r       *report.Report
	result  detect.Result
	targets map[tcpstate.Endpoint]int // by endpoint, of result.Targets
	groups  map[group]int             // of result.Forgotten
	all     []int                     // the captures
	more    int                       // captures beyond the bound
	most    int                       // findings to keep
}

// group is what findings have in common that are only counted.
type group struct {
	rule     *detect.Rule
	target   tcpstate.Endpoint
	socket   string
	severity detect.Severity
	lost     bool
	cause    string
}

// New begins a report of reports.
func New(r *report.Report) *Merger {
	if r.Skipped == nil {
		r.Skipped = map[string]uint64{}
	}
	return &Merger{r: r, targets: map[tcpstate.Endpoint]int{}, groups: map[group]int{}, most: mostFindings}
}

// Add reads a report: the JSON, or the lines of JSON, that connrace has written. What was read
// of one that turns out to be wrong stays. The error says at which byte it is.
func (m *Merger) Add(name string, r io.Reader) error {
	d, err := baseline.Decoder(r)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	in := reading{Merger: m, d: d, name: name, base: len(m.all), byID: map[int]*detect.Finding{}}
	for !in.done {
		switch err := in.object(); {
		case errors.Is(err, io.EOF) && d.InputOffset() == 0:
			return fmt.Errorf("%s: no report of connrace in it", name)
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("%s: the report is cut off at byte %d", name, d.InputOffset())
		case err != nil:
			return fmt.Errorf("%s: byte %d: not a JSON report of connrace: %w", name, offset(d, err), err)
		}
	}
	return nil
}

// offset is where an error is.
func offset(d *json.Decoder, err error) int64 {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return syntax.Offset
	}
	return d.InputOffset()
}

// Finish puts everything into the report.
func (m *Merger) Finish() {
	x := &m.result
	slices.SortStableFunc(x.Findings, func(a, b *detect.Finding) int { return int(min(max(a.Time-b.Time, -1), 1)) })
	for i, f := range x.Findings {
		f.ID = i + 1
		m.within(&f.Capture)
		for k := range f.Evidence {
			m.within(&f.Evidence[k].Capture)
		}
		if f.IdleFrom != nil {
			m.within(&f.IdleFrom.Capture)
		}
	}
	for i := range x.Targets {
		t := &x.Targets[i]
		x.Totals.Flows += t.Connections
		for _, s := range []**detect.Software{&t.Server, &t.LB} {
			if *s == several {
				*s = nil
			}
		}
	}
	if m.more > 0 {
		last := &m.r.Captures[len(m.r.Captures)-1]
		last.Warnings = append(last.Warnings, fmt.Sprintf("%d further captures are counted with this one", m.more))
	}
	if len(m.r.Captures) > 0 {
		m.r.Analyses = []report.Analysis{{Result: x, Captures: m.all}}
	}
}

// within holds the index of a capture to those that there are.
func (m *Merger) within(capture *int) { *capture = max(min(*capture, len(m.all)-1), 0) }

// reading is a report that is being read.
type reading struct {
	*Merger
	d            *json.Decoder
	name         string
	base         int // captures before
	byID         map[int]*detect.Finding
	kind, schema string
	totals       bool
	done         bool
}

// object reads one object, key by key: it may be large.
func (m *reading) object() error {
	t, err := m.d.Token()
	if err != nil {
		return err
	}
	if t != json.Delim('{') {
		return errors.New("it is no object")
	}
	m.kind, m.schema, m.totals = "", "", false
	var line map[string]json.RawMessage // of a line that holds one finding
	for m.d.More() {
		key, err := m.d.Token()
		if err != nil {
			return err
		}
		if m.kind == "finding" || m.kind == "update" {
			var v json.RawMessage
			if err := m.d.Decode(&v); err != nil {
				return err
			}
			if line == nil {
				line = map[string]json.RawMessage{}
			}
			line[key.(string)] = v
			continue
		}
		if err := m.field(key.(string)); err != nil {
			return fmt.Errorf("%v: %w", key, err)
		}
	}
	if _, err := m.d.Token(); err != nil {
		return err
	}
	switch {
	case m.kind == "finding" || m.kind == "update":
		b, err := json.Marshal(line)
		if err != nil {
			return err
		}
		var f findingDoc
		if err := json.Unmarshal(b, &f); err != nil {
			return err
		}
		return m.finding(&f)
	case m.kind == "repeated":
		return nil // its findings are counted in the summary
	case m.schema == "":
		return errors.New("it names no schema")
	case m.schema != baseline.Schema:
		return fmt.Errorf("its schema is %q, not %q", m.schema, baseline.Schema)
	case !m.totals:
		return errors.New("it has no totals")
	case len(m.all) == 0:
		return errors.New("it names no capture")
	}
	m.done = true
	return nil
}

func (m *reading) field(key string) error {
	switch key {
	case "type":
		return m.d.Decode(&m.kind)
	case "schema":
		return m.d.Decode(&m.schema)
	case "captures":
		return each(m.d, m.capture)
	case "totals":
		m.totals = true
		var t totalsDoc
		if err := m.d.Decode(&t); err != nil {
			return err
		}
		m.add(&t)
		return nil
	case "targets":
		return each(m.d, m.target)
	case "findings":
		return each(m.d, m.finding)
	case "forgotten":
		return each(m.d, func(g *groupDoc) error {
			k := group{g.Rule.Rule, g.Target.Endpoint, g.Target.socket, detect.Severity(g.Severity), g.Lost, g.Cause}
			var t detect.Tries
			switch {
			case !g.Lost:
			case g.Rule.About == detect.AboutHandshake:
				t.FailedConnections = g.Count
			default:
				t.LostRequests = g.Count
			}
			m.count(k, g.Count, t, int64(g.First), int64(g.Last))
			return nil
		})
	}
	return baseline.Pass(m.d)
}

// each decodes the elements of a list one by one.
func each[T any](d *json.Decoder, element func(*T) error) error {
	return baseline.Each(d, func(d *json.Decoder) error {
		var v T
		if err := d.Decode(&v); err != nil {
			return err
		}
		return element(&v)
	})
}

func (m *reading) capture(c *captureDoc) error {
	if len(m.r.Captures) == mostCaptures {
		o := &m.r.Captures[mostCaptures-1]
		o.Frames, o.Bytes, m.more = o.Frames+c.Frames, o.Bytes+c.Bytes, m.more+1
		if o.First == 0 || c.First != 0 && int64(c.First) < o.First {
			o.First = int64(c.First)
		}
		o.Last = max(o.Last, int64(c.Last))
		return nil
	}
	m.r.Captures = append(m.r.Captures, report.Capture{
		Path: m.name + ": " + c.Path, Format: c.Format, Compression: c.Compression, LinkTypes: c.LinkTypes, Frames: c.Frames, Bytes: c.Bytes,
		First: int64(c.First), Last: int64(c.Last), Snaplen: c.Snaplen, Truncated: c.Truncated, Warnings: c.Warnings,
	})
	exact := uint32(math.MaxUint32)
	if c.Exact != nil {
		exact = *c.Exact
	}
	m.result.ExactStreams = append(m.result.ExactStreams, exact)
	m.all = append(m.all, len(m.all))
	return nil
}

// add adds the totals of a report.
func (m *reading) add(d *totalsDoc) {
	t := &m.result.Totals
	t.Segments += d.Segments
	t.Streams += d.Streams
	t.Requests += d.Requests
	t.Tries.Add(d.tries(), 1)
	t.Answers5xx += d.Answers5xx
	t.RSTAfterFIN.Total += d.RSTAfterFIN.Total
	t.RSTAfterFIN.Explained += d.RSTAfterFIN.Explained
	t.EvictedFlows += d.EvictedFlows
	t.EvictedTargets += d.EvictedTargets
	t.MergedConnections += d.MergedConnections
	t.Undecided += d.Undecided
	t.HTTP2InTLS += d.HTTP2InTLS
	t.HTTP2Unread += d.HTTP2Unread
	t.OtherProtocols += d.OtherProtocols
	t.UnfollowedStreams += d.Unfollowed
	t.Leaps.Count += d.ClockLeaps
	for why, n := range d.Skipped {
		if _, known := m.r.Skipped[why]; known || len(m.r.Skipped) < mostAdvice*mostAdvice {
			m.r.Skipped[why] += n
		}
	}
	for _, s := range d.Scans[:min(len(d.Scans), max(mostLBs-len(t.Scans), 0))] {
		t.Scans = append(t.Scans, detect.Scan{From: tcpstate.AddrFrom(s.From), To: tcpstate.AddrFrom(s.To), Ports: s.Ports})
	}
	if d.Drops != nil && len(m.r.Captures) > 0 { // the totals stand behind the captures
		c := &m.r.Captures[len(m.r.Captures)-1]
		c.Drops, c.DropsKnown = c.Drops+*d.Drops, true
	}
}

// finding keeps a finding, or counts it.
func (m *reading) finding(d *findingDoc) error {
	if d.Rule.Rule == nil {
		return errors.New("a finding names no rule")
	}
	f := d.finding(m.base)
	if known := m.byID[d.ID]; known != nil && m.kind == "update" {
		*known = *f
		return nil
	}
	if len(m.result.Findings) < m.most {
		m.result.Findings = append(m.result.Findings, f)
		if m.kind != "" {
			m.byID[d.ID] = f
		}
		return nil
	}
	m.count(group{f.Rule, f.Target, f.Socket, f.Severity, f.Lost, f.Measures.CloseCause}, 1, f.Tries(), f.Time, f.Time)
	return nil
}

// count counts findings that are not kept.
func (m *Merger) count(k group, n uint64, t detect.Tries, first, last int64) {
	i, known := m.groups[k]
	if !known && len(m.result.Forgotten) >= mostGroups {
		k.target, k.socket = tcpstate.Endpoint{}, ""
		i, known = m.groups[k]
	}
	if !known {
		i = len(m.result.Forgotten)
		m.groups[k] = i
		m.result.Forgotten = append(m.result.Forgotten, detect.Group{
			Rule: k.rule, Target: k.target, Socket: k.socket, Severity: k.severity, Lost: k.lost, CloseCause: k.cause, First: first, Last: last,
		})
	}
	g := &m.result.Forgotten[i]
	g.Count += n
	g.Tries.Add(t, 1)
	g.First, g.Last = min(g.First, first), max(g.Last, last)
}
