package html

import (
	"fmt"
	"strings"

	"connrace/cmd/connrace/internal/lblog"
	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// logText is what the load balancer's log says beside the findings.
type logText struct {
	Summary     string
	Files       []fact
	Notes       []string
	Joined      []entryText
	Unexplained []entryText
	Left        int // entries that are not listed
}

// entryText is a failed entry of a log.
type entryText struct {
	Time, Line, Status, Request string

	Finding, Rule, By string // of what explains it
	Plain             bool   // the finding can be linked to

	Why string // it is not explained
}

// mostEntries is how many entries of each kind are listed.
const mostEntries = 500

// joinedBy says what of an entry fits its finding.
var joinedBy = map[lblog.Key]string{
	lblog.ByTraceID: "trace id", lblog.ByRequestID: "request id", lblog.ByPort: "the load balancer's port", lblog.ByPath: "path and time", lblog.ByTime: "time",
}

func (p *page) log() logText {
	l := p.r.Log
	t := logText{Summary: report.LogSummary(l)}
	for i := range l.Files {
		f := &l.Files[i]
		if f.Error != "" {
			t.Files = append(t.Files, fact{text.Clean(f.Path), "could not be read", text.Clean(f.Error)})
			continue
		}
		t.Files = append(t.Files, fact{text.Clean(f.Path), fmt.Sprintf("%s, %s failed", text.Plural(uint64(f.Lines), "line"), text.Grouped(uint64(f.Failed))), f.Kind.Title()})
	}
	for _, n := range l.Notes {
		t.Notes = append(t.Notes, text.Sentence(text.Clean(n)))
	}
	shown := map[int]bool{}
	for _, f := range p.found {
		shown[f.id] = true
	}
	for i := range l.Joined[:min(len(l.Joined), mostEntries)] {
		j := &l.Joined[i]
		e := p.entry(j.Entry)
		e.Finding, e.Plain, e.By = fmt.Sprint(j.Finding), shown[j.Finding], joinedBy[j.By]
		if j.Rule != nil && !j.RuleDoubtful {
			e.Rule = j.Rule.ID
		}
		if len(j.Among) > 1 {
			e.By += fmt.Sprintf("; one of %d that fit", len(j.Among))
		}
		if j.Contested {
			e.By += "; contested by an entry that says otherwise"
		}
		t.Joined = append(t.Joined, e)
	}
	for i := range l.Unexplained[:min(len(l.Unexplained), mostEntries)] {
		u := &l.Unexplained[i]
		e := p.entry(u.Entry)
		e.Why = text.Clean(u.Why)
		t.Unexplained = append(t.Unexplained, e)
	}
	t.Left = len(l.Joined) + len(l.Unexplained) - len(t.Joined) - len(t.Unexplained)
	return t
}

func (p *page) entry(e *lblog.Entry) entryText {
	t := entryText{
		Time: p.Stamp(e.End), Line: fmt.Sprint(e.Line),
		Request: cut(requestLine(&detect.Request{Method: e.Method, Path: e.Path}, p.o.ShowQuery), 300),
	}
	if e.Method == "" && e.Path == "" {
		t.Request = ""
	}
	if e.Status > 0 {
		t.Status = fmt.Sprint(e.Status)
	}
	if len(p.r.Log.Files) > 1 {
		t.Line = fmt.Sprintf("%d:%d", e.File+1, e.Line)
	}
	switch { // no finer than it was logged
	case e.End == 0:
	case e.Resolution >= second:
		t.Time = strings.TrimSuffix(t.Time, ".000000")
	case e.Resolution >= second/1000:
		t.Time = t.Time[:len(t.Time)-3]
	}
	return t
}

const second = int64(1e9)
