package main

import (
	"fmt"
	"os/signal"
	"time"

	"connrace/cmd/connrace/internal/lblog"
	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

// publish shows what has been settled and learnt.
func (w *watch) publish(now time.Time) {
	w.hold(now)
	again := w.filed()
	if len(w.settled)+len(w.learnt)+len(again) == 0 {
		return
	}
	w.status.clear()
	var show []*detect.Finding
	for _, f := range w.settled {
		for _, o := range w.observers {
			o.finding(f)
		}
		show = w.choose(show, f, now)
	}
	for _, f := range w.learnt {
		switch {
		case w.ids.get(f.ID) == isShown:
			again = append(again, f)
		case w.ids.get(f.ID) == isHidden:
			show = w.choose(show, f, now) // grave enough by now
		}
	}
	w.record(show)
	if w.evidence != nil {
		for _, f := range w.settled {
			w.evidence.release(f)
		}
	}
	w.settled, w.learnt = w.settled[:0], w.learnt[:0]
	for _, f := range show {
		if w.follow != nil {
			w.follow.Finding(w.analysis, f)
		}
	}
	for _, f := range again {
		if w.follow != nil {
			w.follow.Update(w.analysis, f)
		}
	}
}

// choose appends a finding to those to be shown, unless it is not asked for or there were
// many of its kind.
func (w *watch) choose(show []*detect.Finding, f *detect.Finding, now time.Time) []*detect.Finding {
	switch {
	case !w.shows(f):
		w.ids.set(f.ID, isHidden)
	case !w.limiter.allow(f, now):
		w.ids.set(f.ID, isHeld)
		w.held++
	default:
		w.ids.set(f.ID, isShown)
		return append(show, f)
	}
	return show
}

// shows reports whether the flags ask for a finding. As in the table, people see info
// findings only if they want to.
func (w *watch) shows(f *detect.Finding) bool {
	if w.o.format.value == "table" && f.Severity == detect.Info && !w.o.verbose && len(w.o.rules) == 0 {
		return false
	}
	return w.shown.Shows(f)
}

// showHeld shows how many findings were not shown one by one.
func (w *watch) showHeld(now time.Time, ended bool) {
	for _, r := range w.limiter.held(now, ended) {
		w.status.clear()
		if w.follow != nil {
			w.follow.Repeated(&r)
		}
	}
}

// soFar shows the report so far.
func (w *watch) soFar() {
	w.status.clear()
	r := w.report
	a := *w.analysis
	a.Result = w.cur.detector.Snapshot()
	r.Analyses = []report.Analysis{a}
	r.Captures = []report.Capture{w.described()}
	r.Skipped = w.in.decoder.Skipped()
	if err := w.show(&r); err != nil && !closedPipe(err) {
		w.complain("writing the output: ", err)
	}
}

// described is the capture as reports show it.
func (w *watch) described() report.Capture {
	c := describe(w.name, w.src.Info())
	c.Warnings = append(c.Warnings, w.notes...)
	return c
}

// end writes all that is left and returns the exit code.
func (w *watch) end() int {
	now := time.Now()
	w.hear()
	w.status.clear()
	if w.dump != nil {
		st := w.src.Stats()
		if err := w.dump.Close(st.Packets, st.Drops, now.UnixNano()); err != nil {
			w.failed = true
			w.complain("", err)
		}
		if n := w.dump.Lost; n > 0 {
			w.failed = true
			w.note(fmt.Sprintf("%s could not be written to %s", text.Plural(n, "packet"), w.o.dump.path))
		}
	}
	f := w.figures()
	w.conclude()
	w.publish(now)
	w.evidence.close()
	w.publish(now) // if a file could not be written after all
	w.showHeld(now, true)
	if f.EvidenceFiles, f.EvidenceFailed = w.evidence.counts(); f.EvidenceFailed > 0 {
		w.failed = true
		w.note(fmt.Sprintf("%s of evidence could not be written", text.Plural(f.EvidenceFailed, "file")))
	}
	for _, o := range w.observers {
		o.tick(f)
	}
	if n, ok := w.drops.news(w.src.Stats().Drops, now.Add(time.Hour)); ok {
		w.sayDrops(n)
	}
	w.report.Captures[0] = w.described()
	w.report.Skipped = w.in.decoder.Skipped()
	w.spans = []lblog.Span{w.watched(now)} // with and without packets
	// Files first: who reads the report may take his time.
	w.complete()
	if w.o.page.write(w.e, &w.report, &w.shown, exitOK) != exitOK {
		w.failed = true
	}
	if err := w.annotateKept(); err != nil {
		w.failed = true
		w.e.errorf("%v", err)
	}
	return w.deliver()
}

// watched is the time that was watched, as logs have it, whose clock may have been set
// meanwhile. Of earlier findings only their number is known, which explains no entry of a
// log: that time is left out.
func (w *watch) watched(now time.Time) lblog.Span {
	first, last, c := w.began, w.wall(now), w.src.Info()
	for _, at := range []int64{last, c.First, c.Last} {
		if at != 0 {
			first = min(first, at)
		}
	}
	last = max(last, w.began, c.Last)
	known := first
	for _, g := range w.analysis.Result.Forgotten {
		known = max(known, g.Last)
	}
	if known > first && len(w.o.logs) > 0 {
		line := "findings before " + time.Unix(0, known).In(w.o.location()).Format(time.DateTime) + " are only counted: --log is compared with those from then on"
		w.say(line)
		r := &w.report.Captures[0]
		r.Warnings = append(r.Warnings, line)
	}
	return lblog.Span{First: known, Last: last}
}

// close releases everything.
func (w *watch) close() {
	w.closeExports()
	if w.usr1 != nil {
		signal.Stop(w.usr1)
	}
	if w.sampler != nil {
		w.sampler.close()
	}
	w.src.Close()
	w.evidence.close()
	w.o.page.file.Discard()
	w.annotated.Discard()
}

// maxTinyNamed is how many listeners with a tiny backlog are named where it was not said
// which ones are targets.
const maxTinyNamed = 5

// warnAboutQueues names listeners whose backlog is too small, before it drops something,
// and unix sockets that nobody listens on.
func (w *watch) warnAboutQueues(s *detect.KernelSample) {
	for i := range s.Listeners {
		l := &s.Listeners[i]
		k := backlog{end: l.End, limit: l.Limit}
		if w.warned[k] || l.Limit > detect.TinyBacklog && l.Limit != s.SOMaxConn {
			continue
		}
		warning := detect.BacklogWarning(l.Limit, s.SOMaxConn)
		if warning == "" || !w.concerns(l) || len(w.warned) >= maxNotes {
			continue
		}
		w.warned[k] = true
		w.say(l.End.String() + ": " + warning)
	}
	for i := range s.Sockets {
		x := &s.Sockets[i]
		k := backlog{path: x.Path, limit: x.Limit}
		if was, known := w.missing[x.Path]; was != x.Missing || !known {
			w.missing[x.Path] = x.Missing
			if x.Missing {
				w.say("unix:" + x.Path + ": nobody listens there, in this network namespace at least: connect() gives ENOENT or ECONNREFUSED")
			} else if known {
				w.say("unix:" + x.Path + ": somebody listens there now")
			}
		}
		if warning := detect.BacklogWarning(x.Limit, s.SOMaxConn); !x.Missing && warning != "" && !w.warned[k] && len(w.warned) < maxNotes {
			w.warned[k] = true
			w.say("unix:" + x.Path + ": " + warning)
		}
	}
}

// concerns reports whether a listener is worth a warning: a target's, or, where none was
// named, one with hardly any backlog at all.
func (w *watch) concerns(l *detect.KernelListener) bool {
	if match := w.o.target.matcher(); match != nil {
		return w.sampler.serves(l, match)
	}
	return l.Limit <= detect.TinyBacklog && len(w.warned) < maxTinyNamed && (w.o.lb.matcher() == nil || !l.End.Addr.Netip().IsLoopback())
}

// backlog is a listener, or a unix socket, with its backlog.
type backlog struct {
	end   tcpstate.Endpoint
	limit uint32
	path  string
}

// idSet remembers what became of the newest findings.
type idSet struct {
	fate map[int]fate
	ring []int
	next int
}

type fate uint8

const (
	isUnknown fate = iota
	isHidden       // by the flags
	isHeld         // there were too many of its kind
	isShown
)

const idsKept = 1 << 12

func newIDSet() *idSet { return &idSet{fate: map[int]fate{}} }

func (s *idSet) get(id int) fate { return s.fate[id] }

func (s *idSet) set(id int, f fate) {
	if _, known := s.fate[id]; !known {
		if len(s.ring) < idsKept {
			s.ring = append(s.ring, id)
		} else {
			delete(s.fate, s.ring[s.next])
			s.ring[s.next] = id
			s.next = (s.next + 1) % idsKept
		}
	}
	s.fate[id] = f
}
