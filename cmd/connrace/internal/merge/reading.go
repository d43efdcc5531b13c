package merge

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"connrace/cmd/connrace/internal/baseline"
	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

// reading is a report that is being read. Of lines the findings come before the targets: where
// they belong is known at the end.
type reading struct {
	*Merger
	d            *json.Decoder
	name         string
	number       int // of the report, from 1 on
	base         int // captures before
	kind, schema string
	totals       *report.TotalsDoc
	done         bool

	found     []*detect.Finding
	byID      map[int]*detect.Finding // of lines
	lines     map[*detect.Rule]uint64 // findings that lines tell of
	counted   part                    // findings that are only counted
	forgotten []detect.Group          // which those are that the report itself only counts
	apart     map[tcpstate.Endpoint]bool
	own       *part    // nil: all its targets are the other reports', too
	sole      []*part  // of boxes that it tells apart itself
	left      []string // what it says besides that is not merged
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
	m.kind, m.schema, m.totals = "", "", nil
	var line map[string]json.RawMessage // of one that holds a finding, or counts some
	for m.d.More() {
		key, err := m.d.Token()
		if err != nil {
			return err
		}
		if m.isLine() {
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
	case m.isLine():
		return m.line(line)
	case m.schema == "":
		return errors.New("it names no schema")
	case m.schema != baseline.Schema:
		return fmt.Errorf("its schema is %q, not %q", m.schema, baseline.Schema)
	case m.totals == nil:
		return errors.New("it has no totals")
	case len(m.all.captures) == 0:
		return errors.New("it names no capture")
	}
	m.done = true
	return nil
}

// isLine reports whether the object is a JSON line that is not the last one.
func (m *reading) isLine() bool {
	return m.kind == "finding" || m.kind == "update" || m.kind == "repeated"
}

// line takes what a line says.
func (m *reading) line(of map[string]json.RawMessage) error {
	b, err := json.Marshal(of)
	if err != nil {
		return err
	}
	if m.kind != "repeated" {
		var d report.FindingDoc
		if err := json.Unmarshal(b, &d); err != nil {
			return err
		}
		return m.finding(&d)
	}
	var d report.RepeatedDoc
	if err := json.Unmarshal(b, &d); err != nil {
		return err
	}
	gs, err := d.Groups()
	if err != nil {
		return err
	}
	for i := range gs {
		if g := &gs[i]; g.Count > 0 {
			g.Tries = tries(g)
			m.lines[g.Rule] += g.Count
			m.counted.count(g)
		}
	}
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
		m.totals = new(report.TotalsDoc)
		if err := m.d.Decode(m.totals); err != nil {
			return err
		}
		return m.add(m.totals)
	case "targets":
		return each(m.d, m.target)
	case "findings":
		return each(m.d, m.finding)
	case "forgotten":
		return each(m.d, func(d *report.GroupDoc) error {
			g, err := d.Group()
			if err == nil && len(m.forgotten) < mostGroups {
				m.forgotten = append(m.forgotten, g)
			}
			return err
		})
	case "log", "baseline", "joined", "streams":
		before := m.d.InputOffset()
		if err := baseline.Pass(m.d); err != nil {
			return err
		}
		if m.d.InputOffset()-before > int64(len(`:null `)) { // it has more than null or []
			m.left = append(m.left, map[string]string{
				"log": "what logs of the load balancer say", "baseline": "the comparison with an earlier report",
				"joined": "what joined captures had seen at each point", "streams": "the list of streams",
			}[key])
		}
		return nil
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

func (m *reading) capture(d *report.CaptureDoc) error {
	c, exact := d.Capture()
	if len(m.r.Captures) == mostCaptures {
		o := &m.r.Captures[mostCaptures-1]
		o.Frames, o.Bytes, m.more = o.Frames+c.Frames, o.Bytes+c.Bytes, m.more+1
		if o.First == 0 || c.First != 0 && c.First < o.First {
			o.First = c.First
		}
		o.Last = max(o.Last, c.Last)
		return nil
	}
	c.Path = m.name + ": " + c.Path
	m.all.captures = append(m.all.captures, len(m.r.Captures))
	m.r.Captures = append(m.r.Captures, c)
	m.all.result.ExactStreams = append(m.all.result.ExactStreams, exact)
	return nil
}

// add adds the totals of a report.
func (m *reading) add(d *report.TotalsDoc) error {
	x, err := d.Totals()
	if err != nil {
		return err
	}
	t := &m.all.result.Totals
	t.Segments += x.Segments
	t.Streams += x.Streams
	t.Requests += x.Requests
	t.Tries.Add(x.Tries, 1)
	t.Answers5xx += x.Answers5xx
	t.RSTAfterFIN.Total += x.RSTAfterFIN.Total
	t.RSTAfterFIN.Explained += x.RSTAfterFIN.Explained
	t.EvictedFlows += x.EvictedFlows
	t.EvictedTargets += x.EvictedTargets
	t.MergedConnections += x.MergedConnections
	t.Undecided += x.Undecided
	t.HTTP2InTLS += x.HTTP2InTLS
	t.HTTP2Unread += x.HTTP2Unread
	t.OtherProtocols += x.OtherProtocols
	t.UnfollowedStreams += x.UnfollowedStreams
	t.Leaps.Count += x.Leaps.Count
	t.Scans = append(t.Scans, x.Scans[:min(len(x.Scans), max(mostLBs-len(t.Scans), 0))]...)
	d.FramesSkipped(func(why string, n uint64) {
		if _, known := m.r.Skipped[why]; known || len(m.r.Skipped) < mostAdvice*mostAdvice {
			m.r.Skipped[why] += n
		}
	})
	if n, known := d.Drops(); known && len(m.r.Captures) > 0 { // the totals stand behind the captures
		c := &m.r.Captures[len(m.r.Captures)-1]
		c.Drops, c.DropsKnown = c.Drops+n, true
	}
	return nil
}

// finding keeps a finding, or counts it.
func (m *reading) finding(d *report.FindingDoc) error {
	f, err := d.Finding(m.base)
	if err != nil {
		return err
	}
	if m.kind == "update" {
		if known := m.byID[d.ID]; known != nil {
			m.lines[known.Rule]--
			m.lines[f.Rule]++
			*known = *f
		}
		return nil // what is not known was counted
	}
	m.lines[f.Rule]++
	if m.kept < m.most {
		m.kept++
		m.found = append(m.found, f)
		if m.kind != "" {
			m.byID[d.ID] = f
		}
		return nil
	}
	m.counted.count(&detect.Group{
		Rule: f.Rule, Target: f.Target, Socket: f.Socket, Severity: f.Severity, Lost: f.Lost, CloseCause: f.Measures.CloseCause, StreamCode: f.Measures.StreamCode,
		Count: 1, Tries: f.Tries(), First: f.Time, Last: f.Time,
	})
	return nil
}

// settle puts what was read where it belongs.
func (m *reading) settle() {
	for i := range m.forgotten {
		g := &m.forgotten[i]
		if m.kind == "summary" && m.totals != nil { // lines told of findings that the program did not keep
			rest := m.totals.FindingsOf(g.Rule.ID)
			g.Count = min(g.Count, rest-min(m.lines[g.Rule], rest))
			m.lines[g.Rule] += g.Count
		}
		if g.Tries = tries(g); g.Count > 0 {
			m.counted.count(g)
		}
	}
	for _, f := range m.found {
		p := m.partOf(f.Target, f.Capture)
		p.result.Findings = append(p.result.Findings, f)
	}
	for i := range m.counted.result.Forgotten {
		g := &m.counted.result.Forgotten[i]
		m.partOf(g.Target, -1).count(g)
	}
	if m.own != nil {
		m.Merger.own = append(m.Merger.own, m.own)
		names := map[string]bool{}
		for e := range m.apart {
			names[e.String()] = true
		}
		m.warn(m.base, fmt.Sprintf("%s: told of apart, as other reports have another box of that address", some(names)))
	}
	m.Merger.own = append(m.Merger.own, m.sole...)
	if m.left = slices.Compact(m.left); len(m.left) > 0 && len(m.r.Captures) > 0 {
		m.warn(m.base, text.Clean(m.name)+": not merged: "+strings.Join(m.left, ", "))
	}
}
