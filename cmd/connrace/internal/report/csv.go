package report

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"connrace/cmd/connrace/internal/diagnosis"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// csvColumns are the columns of CSV in their order. New ones are only ever added at the end.
var csvColumns = []struct {
	name  string
	value func(*csvRow) string
}{
	{"id", func(r *csvRow) string { return strconv.Itoa(r.a.id(r.f)) }},
	{"time", func(r *csvRow) string { return moment(r.f.Time) }},
	{"rule", func(r *csvRow) string { return r.f.Rule.ID }},
	{"severity", func(r *csvRow) string { return r.f.Severity.String() }},
	{"confidence", func(r *csvRow) string { return r.f.Confidence.String() }},
	{"lost", func(r *csvRow) string { return strconv.FormatBool(r.f.Lost) }},
	{"capture", func(r *csvRow) string { return r.path() }},
	{"stream", func(r *csvRow) string { return only(r.f.HasStream, uint64(r.f.Stream)) }},
	{"frame", func(r *csvRow) string { return only(r.f.Frame > 0, r.f.Frame) }},
	{"evidence_frames", func(r *csvRow) string { return r.frames() }},
	{"lb", func(r *csvRow) string { return string(endpoint(r.f.LB)) }},
	{"target", func(r *csvRow) string { return string(targetOf(r.f)) }},
	{"method", func(r *csvRow) string { return r.q.Method }},
	{"path", func(r *csvRow) string { return text.Path(r.q.Path, r.o.ShowQuery) }},
	{"trace_id", func(r *csvRow) string { return r.q.TraceID }},
	{"request_id", func(r *csvRow) string { return r.q.RequestID }},
	{"request_frame", func(r *csvRow) string { return only(r.q.Frame > 0, r.q.Frame) }},
	{"request_time", func(r *csvRow) string { return moment(r.q.Time) }},
	{"request_bytes", func(r *csvRow) string { return only(r.q.Frame > 0, uint64(r.q.Bytes)) }},
	{"idempotent", func(r *csvRow) string { return idempotent(&r.q) }},
	{"idle_seconds", func(r *csvRow) string { return inSeconds(r.f.Measures.Idle) }},
	{"rtt_seconds", func(r *csvRow) string { return inSeconds(r.f.Measures.RTT) }},
	{"outstanding_seconds", func(r *csvRow) string { return inSeconds(r.f.Measures.Outstanding) }},
	{"delay_seconds", func(r *csvRow) string { return inSeconds(r.f.Measures.Delay) }},
	{"attempts", func(r *csvRow) string { return only(r.f.Measures.Attempts > 0, uint64(r.f.Measures.Attempts)) }},
	{"waiting", func(r *csvRow) string { return only(r.f.Measures.Waiting >= 0, uint64(r.f.Measures.Waiting)) }},
	{"rst", func(r *csvRow) string { return r.f.Measures.RST }},
	{"rst_origin", func(r *csvRow) string { return r.f.Measures.RSTOrigin }},
	{"close_cause", func(r *csvRow) string { word, _ := detect.CauseWord(r.f.Measures.CloseCause); return word }},
	{"close_cause_basis", func(r *csvRow) string { return r.f.Measures.CloseCauseBasis }},
	{"retry_stream", func(r *csvRow) string { return only(r.f.Measures.Retried, uint64(r.f.Measures.RetryStream)) }},
	{"retry_frame", func(r *csvRow) string { return only(r.f.Measures.Retried, r.f.Measures.RetryFrame) }},
	{"role_basis", func(r *csvRow) string { return r.f.RoleBasis }},
	{"display_filter", func(r *csvRow) string { return r.f.DisplayFilter() }},
	{"tuple_filter", func(r *csvRow) string { return r.f.TupleFilter() }},
	{"summary", func(r *csvRow) string { return r.f.Summary }},
	{"cause", func(r *csvRow) string { return r.f.Cause }},
	{"fix", func(r *csvRow) string { return r.f.Fix }},
	{"log", func(r *csvRow) string { return strings.Join(r.log, " ") }},
	{"outage", func(r *csvRow) string { return only(r.outage > 0, uint64(r.outage)) }},
	{"problem", func(r *csvRow) string { return strconv.Itoa(r.problem.Number) }},
	{"problem_title", func(r *csvRow) string { return r.problem.Title }},
	{"proof", func(r *csvRow) string { return r.proof() }},
	{"seen", func(r *csvRow) string { return r.seen() }},
	{"comments", func(r *csvRow) string { return strings.Join(comments(r.a, r.f), " | ") }},
	{"fixed_if", func(r *csvRow) string { return text.Plain(r.problem.FixedIf) }},
}

// csvRow is a finding as a row.
type csvRow struct {
	r   *Report
	a   *Analysis
	f   *detect.Finding
	q   detect.Request // zero: none
	o   *Options
	log []string // entries of the load balancer's log that it explains, FILE:LINE
	// outage is the id of the first finding of the outage that it belongs to; 0: none.
	outage  int
	problem *diagnosis.Problem
}

// CSV writes a row for each finding, behind a row with the columns' names (RFC 4180).
// Times are in UTC, durations in seconds; what is unknown is empty.
func CSV(w io.Writer, r *Report, o *Options) error {
	c := csv.NewWriter(w)
	c.UseCRLF = true
	record := make([]string, len(csvColumns))
	for i := range csvColumns {
		record[i] = csvColumns[i].name
	}
	if err := c.Write(record); err != nil {
		return err
	}
	entries, answer := r.entriesOf(), r.Diagnosis(o)
	for i := range r.Analyses {
		a := &r.Analyses[i]
		of := map[*detect.Finding]int{}
		for _, x := range a.outages(o) {
			for _, f := range x.Findings {
				of[f] = a.id(x.Findings[0])
			}
		}
		for _, f := range a.Result.Findings {
			if !o.Shows(f) {
				continue
			}
			row := csvRow{r: r, a: a, f: f, o: o, log: entries[a.id(f)], outage: of[f], problem: answer.ProblemOf(f)}
			if f.Request != nil {
				row.q = *f.Request
			}
			for k := range csvColumns {
				record[k] = inert(text.Clean(csvColumns[k].value(&row)))
			}
			if err := c.Write(record); err != nil {
				return err
			}
		}
	}
	c.Flush()
	return c.Error()
}

// inert keeps spreadsheets from taking a text for a formula: they do if it begins with one
// of these characters.
func inert(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}

// entriesOf are the log entries that each finding explains, by its id.
func (r *Report) entriesOf() map[int][]string {
	if r.Log == nil {
		return nil
	}
	out := map[int][]string{}
	for i := range r.Log.Joined {
		j := &r.Log.Joined[i]
		at := r.Log.Files[j.File].Path + ":" + strconv.Itoa(j.Line)
		for _, id := range append([]int{j.Finding}, j.Tries...) {
			out[id] = append(out[id], at)
		}
	}
	return out
}

func (r *csvRow) path() string {
	if i := r.a.capture(r.f.Capture); i < len(r.r.Captures) {
		return r.r.Captures[i].Path
	}
	return ""
}

func (r *csvRow) frames() string {
	var b []byte
	for i := range r.f.Evidence {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendUint(b, r.f.Evidence[i].Frame, 10)
	}
	return string(b)
}

// proof is what joined captures show together.
func (r *csvRow) proof() string {
	if r.f.Proof == nil {
		return ""
	}
	return r.f.Proof.Text
}

// seen is where the other points of joined captures saw the frames of evidence.
func (r *csvRow) seen() string {
	var all []string
	for i := range r.f.Evidence {
		e := &r.f.Evidence[i]
		if len(e.Seen()) == 0 || len(r.a.Points) == 0 {
			continue
		}
		for _, s := range r.a.Sightings(r.f, e) {
			switch {
			case s.Absent:
				all = append(all, fmt.Sprintf("%d: not in %s", e.Frame, r.a.Points[s.Point].Name))
			case s.Frame != e.Frame || s.Capture != r.a.capture(e.Capture):
				all = append(all, fmt.Sprintf("%d: frame %d of %s", e.Frame, s.Frame, r.r.NameOf(s.Capture)))
			}
		}
	}
	return strings.Join(all, "; ")
}

func only(known bool, n uint64) string {
	if !known {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

func inSeconds(d detect.Duration) string {
	if !d.Known {
		return ""
	}
	return string(seconds(d).appendJSON(nil))
}

func moment(ns int64) string {
	if ns == 0 {
		return ""
	}
	return time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.000000000Z")
}

func idempotent(q *detect.Request) string {
	v, known := q.Idempotent()
	if !known {
		return ""
	}
	return strconv.FormatBool(v)
}
