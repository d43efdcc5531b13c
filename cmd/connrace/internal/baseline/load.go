// Package baseline compares a run of connrace with an earlier report about the same
// service: is the fix in effect?
package baseline

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"connrace/detect"
)

// Schema is the JSON contract of the reports that can be compared with.
const Schema = "connrace/1"

// Run are the figures of one run.
type Run struct {
	First, Last    time.Time      // of the captures; zero: unknown
	Requests, Lost uint64         // Lost are the tries that failed, connections too
	Open           uint64         // tries that were undecided at the end
	Findings       map[string]int // by rule
	// Kinds are the failures by what they are fixed by (Kind); nil: not known, the rules must do.
	Kinds   map[string]int
	Targets []Target
}

// Target are the figures of one target.
type Target struct {
	Target         string
	Requests, Lost uint64
	Idle, LBIdle   float64           // idle timeouts in seconds; 0: unknown
	Longest        float64           // idle time, in seconds, after which a connection was used again; 0: none was
	Reuses         *detect.Histogram // idle times after which a request was answered; nil: not known
}

// Load reads what `connrace --format json` wrote, or jsonl, or the page of --html.
func Load(r io.Reader) (*Run, error) { return bounded(r, maxValue) }

// bounded is Load with another bound of what the decoder keeps.
func bounded(r io.Reader, most int64) (*Run, error) {
	d, err := decoder(r, most)
	if err != nil {
		return nil, err
	}
	for {
		run, kind, err := load(d)
		switch {
		case errors.Is(err, io.EOF) && kind == "":
			return nil, errors.New("no report of connrace in it")
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil, errors.New("the report is cut off")
		case err != nil:
			return nil, fmt.Errorf("not a JSON report of connrace: %w", err)
		case kind == "finding" || kind == "update": // of JSON lines
			continue
		}
		return run, nil
	}
}

// Decoder reads the JSON of a report, or of a page's, and keeps no more of it than a value.
func Decoder(r io.Reader) (*json.Decoder, error) { return decoder(r, maxValue) }

func decoder(r io.Reader, most int64) (*json.Decoder, error) {
	in := bufio.NewReader(r)
	switch b, _ := in.Peek(3); {
	case bytes.HasPrefix(b, []byte("\xff\xfe")), bytes.HasPrefix(b, []byte("\xfe\xff")):
		return nil, errors.New("it is UTF-16, as PowerShell's > writes it; JSON is UTF-8")
	case string(b) == "\xef\xbb\xbf":
		in.Discard(3) // a byte order mark
	case bytes.HasPrefix(b, []byte("<")):
		if err := toEmbedded(in); err != nil {
			return nil, err
		}
	}
	l := &limiter{r: in, most: most}
	l.d = json.NewDecoder(l)
	return l.d, nil
}

// Element begins the element of a page that holds the report, and EndElement ends it.
const (
	Element    = `<script type="application/json" id="report">`
	EndElement = `</script>`
)

// toEmbedded reads up to the report that a page holds.
func toEmbedded(in *bufio.Reader) error {
	for at := 0; at < len(Element); {
		b, err := in.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return errors.New("no report is in that page: it is not of connrace, of an earlier version, or cut off")
		case err != nil:
			return err
		case b == Element[at]:
			at++
		case b == Element[0]: // which Element has only once
			at = 1
		default:
			at = 0
		}
	}
	return nil
}

// maxValue bounds the bytes of a value, or of white space, that the decoder keeps: a
// finding takes a few thousand.
const maxValue = 32 << 20

// limiter reads for a decoder until that has kept too much.
type limiter struct {
	r    io.Reader
	d    *json.Decoder
	most int64
	read int64
}

func (l *limiter) Read(b []byte) (int, error) {
	if l.read-l.d.InputOffset() > l.most {
		return 0, fmt.Errorf("a value of more than %d bytes in it", l.most)
	}
	n, err := l.r.Read(b)
	l.read += int64(n)
	return n, err
}

// load reads one object key by key: a report can be large, and little of it is needed.
func load(d *json.Decoder) (run *Run, kind string, err error) {
	t, err := d.Token()
	if err != nil {
		return nil, "", err
	}
	if t != json.Delim('{') {
		return nil, "", errors.New("it is no object")
	}
	l := loader{d: d, run: Run{Findings: map[string]int{}}}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, "?", err
		}
		if err := l.field(key.(string)); err != nil {
			return nil, "?", fmt.Errorf("%s: %w", key, err)
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, "?", err
	}
	switch {
	case l.kind == "finding" || l.kind == "update":
		return nil, l.kind, nil
	case l.schema == "":
		return nil, "?", errors.New("it names no schema")
	case l.schema != Schema:
		return nil, "?", fmt.Errorf("its schema is %q, not %q", l.schema, Schema)
	case !l.totals:
		return nil, "?", errors.New("it has no totals")
	}
	return &l.run, "summary", nil
}

type loader struct {
	d            *json.Decoder
	run          Run
	kind, schema string
	totals       bool
}

func (l *loader) field(key string) error {
	switch key {
	case "type":
		return l.d.Decode(&l.kind)
	case "schema":
		return l.d.Decode(&l.schema)
	case "captures":
		return Each(l.d, l.capture)
	case "totals":
		l.totals = true
		var t struct {
			triesDoc
			Requests uint64         `json:"requests"`
			Findings map[string]int `json:"findings"`
		}
		err := l.d.Decode(&t)
		l.run.Requests, l.run.Lost, l.run.Open = t.Requests, t.failed(), t.Open
		if t.Findings != nil {
			l.run.Findings = t.Findings
		}
		return err
	case "targets":
		return Each(l.d, l.target)
	case "findings":
		l.run.Kinds = map[string]int{}
		return Each(l.d, l.finding)
	case "failures": // of all findings, not only of those that are shown
		clear(l.run.Kinds)
		return l.d.Decode(&l.run.Kinds)
	case "streams":
		return Each(l.d, func(*json.Decoder) error { return skip(l.d) })
	}
	return Pass(l.d)
}

func (l *loader) capture(d *json.Decoder) error {
	var c struct{ First, Last *time.Time }
	if err := d.Decode(&c); err != nil {
		return err
	}
	if c.First != nil && (l.run.First.IsZero() || c.First.Before(l.run.First)) {
		l.run.First = *c.First
	}
	if c.Last != nil && c.Last.After(l.run.Last) {
		l.run.Last = *c.Last
	}
	return nil
}

func (l *loader) finding(d *json.Decoder) error {
	var f struct {
		Rule     string `json:"rule"`
		Lost     bool   `json:"lost"`
		Open     bool   `json:"open"`
		Measures struct {
			Cause string `json:"close_cause"`
		} `json:"measures"`
	}
	err := d.Decode(&f)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return nil // of another version
	}
	if f.Lost || f.Open {
		l.run.Kinds[Kind(f.Rule, f.Measures.Cause)]++
	}
	return err
}

func (l *loader) target(d *json.Decoder) error {
	type timer struct {
		Seconds float64 `json:"seconds"`
	}
	var t struct {
		triesDoc
		Target   string  `json:"target"`
		Requests uint64  `json:"requests"`
		Idle     *timer  `json:"idle_timeout"`
		LBIdle   *timer  `json:"lb_idle_timeout"`
		Longest  float64 `json:"longest_reuse_seconds"`
	}
	if err := d.Decode(&t); err != nil {
		return err
	}
	x := Target{Target: t.Target, Requests: t.Requests, Lost: t.failed(), Longest: t.Longest}
	if t.Idle != nil {
		x.Idle = t.Idle.Seconds
	}
	if t.LBIdle != nil {
		x.LBIdle = t.LBIdle.Seconds
	}
	l.run.Targets = append(l.run.Targets, x)
	return nil
}

// triesDoc are what became of tries. Reports of earlier versions know lost requests only.
type triesDoc struct {
	Lost   uint64  `json:"lost_requests"`
	Failed *uint64 `json:"failed_tries"`
	Open   uint64  `json:"open_tries"`
}

func (t *triesDoc) failed() uint64 {
	if t.Failed == nil {
		return t.Lost
	}
	return *t.Failed
}

// Each decodes the elements of an array one by one. null is an empty one.
func Each(d *json.Decoder, element func(*json.Decoder) error) error {
	t, err := d.Token()
	if err != nil || t == nil {
		return err
	}
	if t != json.Delim('[') {
		return errors.New("it is no list")
	}
	for d.More() {
		if err := element(d); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// Pass passes over a value that may be long, such as a log with what was joined.
func Pass(d *json.Decoder) error {
	for depth := 0; ; {
		t, err := d.Token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// skip passes over a value.
func skip(d *json.Decoder) error {
	var v struct{} // decodes nothing, but checks
	err := d.Decode(&v)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return nil
	}
	return err
}
