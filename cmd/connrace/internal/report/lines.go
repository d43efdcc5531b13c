package report

import (
	"io"

	"connrace/detect"
)

// Lines writes findings as JSON lines while they are settled, each line at once, so that
// they can be followed.
type Lines struct {
	w   io.Writer
	o   *Options
	buf []byte
	doc FindingDoc
	err error

	left map[int]bool // findings that were not shown when they were settled, by id
}

// NewLines makes a writer of JSON lines.
func NewLines(w io.Writer, o *Options) *Lines { return &Lines{w: w, o: o, left: map[int]bool{}} }

// Finding writes a finding that is settled.
func (l *Lines) Finding(a *Analysis, f *detect.Finding) {
	if !l.o.Shows(f) {
		l.left[a.id(f)] = true
		return
	}
	l.write(l.doc.set(a, f, l.o, "finding"))
}

// Update writes a finding again about which more was learnt; for the first time where
// that made it grave enough to be shown. Where it is not grave enough any more, the line says so.
func (l *Lines) Update(a *Analysis, f *detect.Finding) {
	switch left := l.left[a.id(f)]; {
	case left && !l.o.Shows(f):
	case left:
		delete(l.left, a.id(f))
		l.write(l.doc.set(a, f, l.o, "finding"))
	default:
		l.write(l.doc.set(a, f, l.o, "update"))
	}
}

func (l *Lines) write(doc any) {
	l.buf = append(appendJSON(l.buf[:0], doc), '\n')
	if l.err == nil {
		_, l.err = l.w.Write(l.buf)
	}
}

// Err is the first error; after it nothing is written any more.
func (l *Lines) Err() error { return l.err }

// Summary writes the last line: everything but the findings.
func (l *Lines) Summary(r *Report) error {
	if l.err != nil {
		return l.err
	}
	j := newObject(l.w)
	j.compact = true
	j.field("type", "summary")
	j.field("schema", Schema)
	j.captures(r)
	j.totals(r)
	j.targets(r)
	j.problems(r.Diagnosis(l.o))
	j.forgotten(r)
	j.joined(r)
	j.outages(r, l.o)
	j.failures(r)
	j.log(r, l.o)
	j.baseline(r)
	j.streams(r, l.o)
	l.err = j.close()
	return l.err
}
