package detect

import (
	"slices"

	"connrace/tcpstate"
)

// BeginCapture says that the segments that follow belong to the next capture: frame and
// stream numbers start again, the state of the connections carries over.
func (d *Detector) BeginCapture(i int) {
	d.tracker.BeginCapture()
	if d.behind != nil {
		d.behind.BeginCapture(i)
	}
}

// onCopy takes a segment of a connection that is another one, which the capture shows once more behind the translation
// of addresses. A detector of its own analyses those: what it makes of them is what another capture, taken
// there, would show.
func (d *Detector) onCopy(s *tcpstate.Segment, stream uint32) {
	if d.behind == nil {
		d.beginBehind()
	}
	b := d.behind
	b.tracker.TrackCopy(s, stream)
	if now := b.tracker.Now(); now >= b.due {
		b.flushDue(now)
	}
}

// beginBehind makes the detector of copies.
func (d *Detector) beginBehind() {
	o := d.opt
	o.Apart--
	o.Connections, o.Streams = true, false
	o.OnSegment, o.OnIncident, o.OnFinding, o.OnUpdate, o.Host = nil, nil, nil, nil, nil
	if o.MaxFlows == 0 {
		o.MaxFlows = tcpstate.DefaultMaxFlows
	}
	o.MaxFlows = max(o.MaxFlows/2, 1) // each has one here, too
	b := newDetector(o)
	cfg := b.config()
	cfg.Hashes = false
	b.tracker = d.tracker.NewBehind(cfg)
	b.locate = b.tracker.Locate
	b.gaps = slices.Clone(d.gaps)
	d.behind = b
	if d.ledger == nil { // it was given up
		d.ledger = newLedger(&o, new(marks))
		d.tracker.Each(func(f *tcpstate.Flow) {
			if f.Watched() {
				d.ledger.take(f)
			}
		})
	}
	b.ledger = newLedger(&o, d.ledger.marks)
}

// take begins the entry of a flow that is there already. It is in the only capture: of several connections are
// kept from the beginning.
func (l *ledger) take(f *tcpstate.Flow) {
	if l.begins() {
		l.enter(f, Connection{Stream: f.Stream(), First: f.LastTime})
	}
}

// fewConnections are those of which it is kept what tells which connections they are, until it shows whether the capture
// has any twice: where it has, it has them from the beginning.
const fewConnections = 1 << 8

// spareLedger does without a ledger where there will be no need of it.
func (d *Detector) spareLedger() {
	if d.ledger != nil && !d.opt.Connections && d.behind == nil && len(d.ledger.all) == fewConnections {
		d.ledger = nil
	}
}

// finishBehind ends the analysis of copies: the capture goes on as long as this one.
func (d *Detector) finishBehind() *Result {
	if d.behind == nil {
		return nil
	}
	d.behind.Advance(d.tracker.Now())
	r := d.behind.Finish()
	r.Totals.Segments, r.Totals.Streams = 0, 0 // they are counted here
	return r
}
