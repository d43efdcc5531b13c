package live

import (
	"fmt"
	"os/signal"
	"time"

	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/lblog"
	"connrace/cmd/connrace/internal/pipeline"
	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/term"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// publish shows what has been settled and learnt.
func (w *watch) publish(now time.Time) {
	w.holdPackets(now)
	again := w.filed()
	if len(w.settled)+len(w.learnt)+len(again) == 0 {
		return
	}
	w.status.Clear()
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
	w.recordPackets(show)
	if w.evidence != nil {
		for _, f := range w.settled {
			w.evidence.release(f)
		}
	}
	w.settled, w.learnt = w.settled[:0], w.learnt[:0]
	for _, to := range w.follow {
		for _, f := range show {
			to.Finding(w.analysis, f)
		}
		for _, f := range again {
			to.Update(w.analysis, f)
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
		w.ids.set(f.ID, isSuppressed)
		w.suppressed++
	default:
		w.ids.set(f.ID, isShown)
		return append(show, f)
	}
	return show
}

// shows reports whether the flags ask for a finding. As in the table, people see info
// findings only if they want to.
func (w *watch) shows(f *detect.Finding) bool {
	if w.o.Format.Value == "table" && f.Severity == detect.Info && !w.o.Verbose && len(w.o.Rules) == 0 {
		return false
	}
	return w.Shown.Shows(f)
}

// showSuppressed shows how many findings were not shown one by one.
func (w *watch) showSuppressed(now time.Time, ended bool) {
	for _, r := range w.limiter.suppressed(now, ended) {
		w.status.Clear()
		for _, to := range w.follow {
			to.Repeated(&r)
		}
	}
}

// showStatus says on a terminal how it is going.
func (w *watch) showStatus(f *figures, now time.Time) {
	rate := float64(f.Packets-w.packets) / max(now.Sub(w.statusAt).Seconds(), 1e-3)
	w.packets, w.statusAt = f.Packets, now
	line := fmt.Sprintf("%s: %s packets/s, %s, %s dropped, %s", w.name, text.Grouped(uint64(rate)), text.Plural(uint64(f.Live), "connection"),
		text.Grouped(f.Drops), text.Plural(f.Progress.Findings, "finding"))
	if n := f.Failed(); n > 0 {
		line += ", " + text.Plural(n, "failed try")
	}
	if n := f.Answers5xx; n > 0 {
		line += ", " + text.Plural(n, "answer") + " 5xx"
	}
	w.status.Text(line, w.name+": "+term.SoFar(f.Progress.Findings, f.Failed(), f.Answers5xx))
}

// showSnapshot shows the report so far.
func (w *watch) showSnapshot() {
	w.status.Clear()
	r := w.Report
	a := *w.analysis
	a.Result = w.Cur.Detector.Snapshot()
	w.nameListeners(a.Result)
	r.Analyses = []report.Analysis{a}
	r.Captures = []report.Capture{w.described()}
	r.Skipped = w.in.Decoder.Skipped()
	if err := w.Show(&r); err != nil && !cli.ClosedPipe(err) {
		w.warnOnce("writing the output: ", err)
	}
}

// described is the capture as reports show it.
func (w *watch) described() report.Capture {
	c := pipeline.Describe(w.name, w.src.Info())
	c.Warnings = append(c.Warnings, w.notes...)
	return c
}

// end writes all that is left and returns the exit code.
func (w *watch) end() int {
	now := time.Now()
	w.drainSamples()
	w.status.Clear()
	if w.dump != nil {
		st := w.src.Stats()
		if err := w.dump.Close(st.Packets, st.Drops, now.UnixNano()); err != nil {
			w.Failed = true
			w.warnOnce("", err)
		}
		if n := w.dump.Lost(); n > 0 {
			w.Failed = true
			w.note(fmt.Sprintf("%s could not be written to %s", text.Plural(n, "packet"), w.o.dump.path))
		}
	}
	f := w.figures()
	w.Conclude()
	w.nameListeners(w.analysis.Result)
	w.publish(now)
	w.evidence.close()
	w.publish(now) // if a file could not be written after all
	w.showSuppressed(now, true)
	if f.EvidenceFiles, f.EvidenceFailed = w.evidence.counts(); f.EvidenceFailed > 0 {
		w.Failed = true
		w.note(fmt.Sprintf("%s of evidence could not be written", text.Plural(f.EvidenceFailed, "file")))
	}
	for _, o := range w.observers {
		o.tick(f)
	}
	if n, ok := w.drops.news(w.src.Stats().Drops, now.Add(time.Hour)); ok {
		w.sayDrops(n)
	}
	if w.host != nil {
		w.host.Count()
		w.sayLost(now.Add(time.Hour))
	}
	w.Report.Captures[0] = w.described()
	w.Report.Skipped = w.in.Decoder.Skipped()
	w.Spans = []lblog.Span{w.watched(now)} // with and without packets
	// Files first: who reads the report may take his time.
	w.Complete()
	w.publish(now) // what the log taught
	if w.o.HTML.Write(w.Env, &w.Report, &w.Shown, cli.ExitOK) != cli.ExitOK {
		w.Failed = true
	}
	if err := w.annotateKept(); err != nil {
		w.Failed = true
		w.Env.Errorf("%v", err)
	}
	return w.Deliver(func() {})
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
	if known > first && len(w.o.Logs) > 0 {
		line := "findings before " + time.Unix(0, known).In(w.o.Location()).Format(time.DateTime) + " are only counted: --log is compared with those from then on"
		w.warn(line)
		r := &w.Report.Captures[0]
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
	if w.host != nil {
		w.host.Close()
	}
	w.src.Close()
	w.evidence.close()
	w.o.HTML.File.Discard()
	w.annotated.Discard()
}
