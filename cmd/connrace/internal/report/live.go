package report

import (
	"fmt"
	"io"
	"strings"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

// Repeated are findings that were not shown one by one, for there were too many of a kind.
type Repeated struct {
	Rule        *detect.Rule
	Severity    detect.Severity
	LB          tcpstate.Addr // the host
	Target      string
	Count, Lost uint64
	First, Last int64 // times
}

// RepeatedDoc is a JSON line that stands for several findings.
type RepeatedDoc struct {
	Type     string   `json:"type"`
	Rule     string   `json:"rule"`
	Severity string   `json:"severity"`
	LB       optional `json:"lb_host"`
	Target   optional `json:"target"`
	Count    uint64   `json:"count"`
	Lost     uint64   `json:"lost"`
	First    stamp    `json:"first"`
	Last     stamp    `json:"last"`
}

// Repeated writes a line that stands for several findings.
func (l *Lines) Repeated(r *Repeated) {
	d := RepeatedDoc{
		Type: "repeated", Rule: r.Rule.ID, Severity: r.Severity.String(), Target: optional(r.Target),
		Count: r.Count, Lost: r.Lost, First: stamp(r.First), Last: stamp(r.Last),
	}
	if r.LB != (tcpstate.Addr{}) {
		d.LB = optional(r.LB.String())
	}
	l.write(d)
}

// Running writes findings for people while they are settled, a few lines each.
type Running struct {
	w     io.Writer
	o     *Options
	clock *Clock
	day   string       // of the line before
	open  map[int]bool // findings whose end was not known when they were shown, by id
	err   error
}

// NewRunning makes a writer for people.
func NewRunning(w io.Writer, o *Options) *Running {
	return &Running{w: w, o: o, clock: NewClock(o.Location, nil), open: map[int]bool{}}
}

// Finding writes a finding that is settled.
func (l *Running) Finding(a *Analysis, f *detect.Finding) {
	grade := gradeOf(f)
	if f.Open && len(l.open) < 1<<12 {
		l.open[a.id(f)] = true
	}
	ends := f.TargetName()
	if f.LB != (tcpstate.Endpoint{}) {
		ends = f.LB.String() + " → " + ends
	}
	p := newPage(l.o)
	l.head(&p, f.Time, f.Rule, f.Severity, fmt.Sprintf("#%d %s  %s  %s", a.id(f), f.Rule.ID, text.Clean(ends), grade))
	line := text.Clean(f.Summary)
	if q := f.Request; q != nil && (q.Method != "" || q.Path != "") {
		line += "; " + (&tables{o: l.o}).request(q)
	}
	if f.Measures.Kernel != nil {
		line += "; the kernel: " + f.Measures.Kernel.String()
	}
	if d := f.DisplayFilter(); d != "" {
		line += "; " + d
	}
	p.paragraph(runningIndent, line)
	if e := a.Files[f.ID]; e != nil {
		p.WriteString(runningIndent + text.Clean(e.Path) + "\n")
	}
	l.write(&p)
}

// gradeOf is what a finding is, in a few words.
func gradeOf(f *detect.Finding) string {
	grade := fmt.Sprintf("%s, %s", f.Severity, f.Confidence)
	if f.Lost {
		grade += ", failed"
	}
	return grade
}

// Update writes what more was learnt about a finding: its cause, or how it goes on and ends.
func (l *Running) Update(a *Analysis, f *detect.Finding) {
	p := newPage(l.o)
	id, said := a.id(f), f.Cause
	if l.open[id] {
		said = f.Rule.ID + ", " + f.Summary
	}
	if !f.Open {
		delete(l.open, id)
	}
	p.paragraph(runningIndent, fmt.Sprintf("#%d is %s: %s", id, gradeOf(f), text.Clean(said)))
	l.write(&p)
}

// Repeated writes a line that stands for several findings.
func (l *Running) Repeated(r *Repeated) {
	p := newPage(l.o)
	lost := ""
	if r.Lost > 0 {
		lost = ", " + text.Grouped(r.Lost) + " failed"
	}
	l.head(&p, r.Last, r.Rule, r.Severity, fmt.Sprintf("%s × %s  %s%s, since %s", text.Grouped(r.Count), r.Rule.ID, text.Clean(r.Target), lost, l.clock.Time(r.First)))
	l.write(&p)
}

const runningIndent = "                 "

// head writes the first line of an entry, and the date where that has changed.
func (l *Running) head(p *page, at int64, r *detect.Rule, s detect.Severity, line string) {
	if d := l.clock.Date(at); d != l.day {
		l.day = d
		p.WriteString(d + " " + l.clock.Name(at) + "\n")
	}
	plain := page{width: p.width}
	plain.paragraph(l.clock.Time(at)+"  ", line)
	p.WriteString(strings.Replace(plain.String(), r.ID, p.paint(severityPaint(s), r.ID), 1))
}

func (l *Running) write(p *page) {
	if l.err == nil {
		l.err = p.writeAll(l.w)
	}
}

// Err is the first error; after it nothing is written any more.
func (l *Running) Err() error { return l.err }

// EvidenceFile is where the packets of a finding were written.
type EvidenceFile struct {
	Path   string
	Frames map[uint64]uint64 // frame numbers there, by those of the evidence
}

func fileJSON(f *EvidenceFile) optional {
	if f == nil {
		return ""
	}
	return optional(text.Clean(f.Path))
}

// targetOf is a finding's target in JSON.
func targetOf(f *detect.Finding) optional {
	if f.Socket != "" {
		return optional(text.Clean(f.TargetName()))
	}
	return endpoint(f.Target)
}

type kernelDoc struct {
	Queue             uint32 `json:"queue"`
	Limit             uint32 `json:"queue_limit"`
	Drops             uint64 `json:"listener_drops"`
	ListenOverflows   uint64 `json:"listen_overflows"`
	ListenDrops       uint64 `json:"listen_drops"`
	ReqQFullDrop      uint64 `json:"reqq_full_drop"`
	ReqQFullDoCookies uint64 `json:"reqq_full_do_cookies"`
}

func kernelJSON(k *detect.Kernel) *kernelDoc {
	if k == nil {
		return nil
	}
	c := &k.Counted
	return &kernelDoc{k.Queue, k.Limit, k.Dropped, c.ListenOverflows, c.ListenDrops, c.ReqQFullDrop, c.ReqQFullDoCookies}
}

type listenerDoc struct {
	Queue    uint32      `json:"queue"`
	MaxQueue uint32      `json:"max_queue"`
	Limit    uint32      `json:"queue_limit"`
	Process  *processDoc `json:"process"`
}

func listenerJSON(l *detect.Listener) *listenerDoc {
	if l == nil {
		return nil
	}
	return &listenerDoc{l.Queue, l.MaxQueue, l.Limit, processJSON(l.Process)}
}

// GroupDoc are findings that are only counted, in JSON.
type GroupDoc struct {
	Rule     string   `json:"rule"`
	Target   optional `json:"target"`
	Severity string   `json:"severity"`
	Lost     bool     `json:"lost"`
	Cause    optional `json:"close_cause"`
	Kept     bool     `json:"close_kept_others"`
	Code     optional `json:"stream_code"`
	Count    uint64   `json:"count"`
	First    stamp    `json:"first"`
	Last     stamp    `json:"last"`
}

// forgotten writes the counts of findings that are not kept whole. Only live does so as a
// rule.
func (j *object) forgotten(r *Report) {
	if !r.Live && r.Totals().Unlisted == 0 {
		return
	}
	j.list("forgotten", func(add func(any)) {
		for i := range r.Analyses {
			for _, g := range r.Analyses[i].Result.Forgotten {
				target := endpoint(g.Target)
				if g.Socket != "" {
					target = optional("unix:" + text.Clean(g.Socket))
				}
				word, kept := detect.CauseWord(g.CloseCause)
				add(GroupDoc{g.Rule.ID, target, g.Severity.String(), g.Lost, optional(word), kept, optional(g.StreamCode), g.Count, stamp(g.First), stamp(g.Last)})
			}
		}
	})
}
