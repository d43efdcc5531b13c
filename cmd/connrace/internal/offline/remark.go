package offline

import (
	"fmt"

	"connrace/capture"
	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// Bounds of what is kept of packets' comments.
const (
	mostRemarked = 1 << 18  // segments of evidence that are looked up
	mostRemarks  = 64 << 20 // octets of their comments; equal ones count once
)

// remarks are the comments on packets of findings' evidence.
type remarks struct {
	at    map[int]map[uint64][]place // by capture and frame
	of    map[*detect.Finding][]detect.Remark
	texts map[string]string
	room  int
	left  int // places and comments beyond the bounds
}

// place is a segment of a finding's evidence, by its index there; -1: where the idle time begins.
type place struct {
	f *detect.Finding
	i int
}

// remark reads the captures whose packets have comments once more, but for streams, of which what is
// written there has been kept, and adds that to the evidence. Who has none pays nothing for it.
func (s *session) remark() {
	if len(s.commented) == 0 {
		return
	}
	x := remarks{at: map[int]map[uint64][]place{}, of: map[*detect.Finding][]detect.Remark{}, texts: map[string]string{}, room: mostRemarks}
	for _, i := range s.commented {
		x.at[i] = map[uint64][]place{}
	}
	places := 0
	s.eachShown(func(a *report.Analysis, f *detect.Finding) {
		for _, e := range report.Story(f) {
			for _, at := range a.Sightings(f, e) {
				if frames := x.at[at.Capture]; at.Absent || frames == nil {
					continue
				} else if places++; places > mostRemarked {
					x.left++
				} else {
					frames[at.Frame] = append(frames[at.Frame], place{f, indexOf(f, e)})
				}
			}
		}
	})
	for _, i := range s.commented {
		if err := s.remarksOf(i, &x); err != nil && s.Ctx.Err() == nil {
			s.fail(err)
		}
	}
	s.eachShown(func(a *report.Analysis, f *detect.Finding) {
		if rs := x.of[f]; rs != nil {
			x.left += f.AddRemarks(rs)
			if !s.Connections {
				s.Learnt(a, f)
			}
		}
	})
	if x.left > 0 {
		s.Warn(fmt.Sprintf("%s on packets of the evidence: not shown, or not whole: too many, or too long", text.Plural(uint64(x.left), "comment")))
	}
}

// eachShown calls do with the findings that are shown.
func (s *session) eachShown(do func(*report.Analysis, *detect.Finding)) {
	for i := range s.Report.Analyses {
		a := &s.Report.Analyses[i]
		for _, f := range a.Result.Findings {
			if s.Shown.Shows(f) {
				do(a, f)
			}
		}
	}
}

// indexOf is where a segment of evidence is in its finding.
func indexOf(f *detect.Finding, e *detect.Evidence) int {
	for i := range f.Evidence {
		if e == &f.Evidence[i] {
			return i
		}
	}
	return -1
}

// remarksOf reads the comments on packets of one capture.
func (s *session) remarksOf(index int, x *remarks) error {
	frames, last := x.at[index], uint64(0)
	for n := range frames {
		last = max(last, n)
	}
	if last == 0 {
		return nil
	}
	add := func(r *capture.Remarks) {
		d := detect.Remark{Inbound: r.Direction == capture.Inbound, Outbound: r.Direction == capture.Outbound, Interface: r.Interface}
		d.Comments = x.keep(r.Comments)
		for _, p := range frames[r.Frame] {
			d.Evidence = p.i
			x.of[p.f] = append(x.of[p.f], d)
		}
	}
	if h := s.heard[index]; h != nil {
		for n := range frames {
			if r, lost := h.of(n); lost {
				x.left++
			} else if r != nil {
				add(r)
			}
		}
		return nil
	}
	if s.Ctx.Err() != nil {
		return nil
	}
	in, done, err := s.again(index)
	if err != nil {
		return err
	}
	defer done()
	return capture.Remarked(s.Ctx, in, last, func(n uint64) bool { return frames[n] != nil }, add)
}

// keep makes comments last, as far as there is room.
func (x *remarks) keep(cs [][]byte) (kept []string) {
	const most = 16 // of a packet; ptcpdump writes six
	for i, c := range cs {
		t, known := x.texts[string(c)]
		if i == most || !known && len(c) > x.room {
			x.left += len(cs) - i
			break
		}
		if !known {
			t = string(c)
			x.texts[t] = t
			x.room -= len(c)
		}
		kept = append(kept, t)
	}
	return kept
}
