package offline

import (
	"slices"
	"time"

	"connrace/capture"
	"connrace/cmd/connrace/internal/pipeline"
	"connrace/tcpstate"
)

// point is a place where packets were captured: one file, or several that continue each other.
// While files may be joined, those of several points may come by turns.
type point struct {
	*pipeline.Analysis
	created int          // by which file
	path    string       // of its newest file
	ways    map[way]bool // of the segments at the end of that
}

// way is how a segment came to a point.
type way struct {
	src, dst tcpstate.Addr
	ttl      uint8
}

// head is how a file begins.
type head struct {
	path  string
	first int64 // time of its first frame
	links []capture.LinkType
	segs  []tcpstate.Segment // of its first frames
}

// overlap is how far a file that continues another one may begin before that ends: queues of
// a network card hand over their frames some milliseconds out of order.
const overlap = 10 * time.Millisecond

// place decides where a file belongs, of which the first frames have been read: it continues that of a point, or
// begins another and says why. Where it is not its turn yet, that is certain.
func (s *session) place(r *reading) {
	frames := r.frames()
	if s.at != nil && len(frames) == 0 {
		r.point = s.at
		return
	}
	h := head{path: r.path, links: slices.Clone(r.src.Info().LinkTypes)}
	slices.Sort(h.links)
	if len(frames) > 0 {
		h.first = frames[0].Time
	}
	if s.Connections && s.at != nil {
		d := capture.NewDecoder()
		for i := range frames {
			h.segs = d.Decode(&frames[i], h.segs)
		}
	}
	early := r.session != s.Session
	before := s.at // to which the file before it belongs
	if early {
		before = s.files[r.index-1].point
	}
	var best *point
	for _, p := range s.points {
		if p.created > r.index {
			break // not there yet
		}
		if s.reading(p) { // which is why it is no place for it
			r.overlap = r.overlap || p == before
			continue
		}
		why := s.unfit(p, &h)
		if p == before {
			r.apart = why
		}
		if why == "" && (best == nil || h.fitsBetter(p, best)) {
			best = p
		}
	}
	if !early && (best == nil || s.left == 0) { // what is not gone on with needs no tables any more
		s.conclude(best)
	}
	if best == nil {
		r.overlap = r.overlap || before == nil && early
		r.session.Begin(h.first, h.links)
		best = &point{Analysis: r.session.Cur, created: r.index}
		i, _ := slices.BinarySearchFunc(s.points, best, func(a, b *point) int { return a.created - b.created })
		s.points = slices.Insert(s.points, i, best)
	} else {
		r.apart, r.overlap = "", false
		if best.Last == 0 {
			best.Window = s.Window(h.first, s.flags.Location())
		}
	}
	r.point = best
	best.First, best.Links, best.path = h.first, h.links, r.path
}

// unfit is why a file does not continue a point; "": it does.
func (s *session) unfit(p *point, h *head) string {
	switch {
	case p.Last != 0 && h.first < max(p.Last-int64(overlap), p.First):
		return begunBefore(h.first, p.Last)
	case s.Connections && p.Detector.Shares(h.segs): // another capture of the same time, by a clock that is ahead
		return "holds the same connections as what came before it: analysed by itself, not as its continuation"
	case p.Last != 0 && !slices.Equal(h.links, p.Links):
		return "has other link types than what came before it: analysed by itself, not as its continuation"
	}
	return ""
}

// fitsBetter reports whether a file continues the one point rather than the other: its segments come
// as they did there, it has a name like that, or it begins when that ended.
func (h *head) fitsBetter(p, than *point) bool {
	if a, b := h.known(p), h.known(than); a != b {
		return a
	}
	if a, b := likeness(h.path, p.path), likeness(h.path, than.path); a != b {
		return a > b
	}
	return abs(h.first-p.Last) < abs(h.first-than.Last)
}

func abs(d int64) int64 { return max(d, -d) }

// known reports whether most segments come as the last ones of a point did.
func (h *head) known(p *point) bool {
	n := 0
	for i := range h.segs {
		if p.ways[wayOf(&h.segs[i])] {
			n++
		}
	}
	return 2*n > len(h.segs)
}

func wayOf(s *tcpstate.Segment) way { return way{s.Src.Addr, s.Dst.Addr, s.TTL} }

// likeness is how many characters two names have in common at their beginnings and ends.
func likeness(a, b string) (n int) {
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	a, b = a[n:], b[n:]
	for i := 1; i <= min(len(a), len(b)) && a[len(a)-i] == b[len(b)-i]; i++ {
		n++
	}
	return n
}

// ended notes how the newest file of a point ended.
func (p *point) ended(last int64, segs []tcpstate.Segment) {
	p.Last = max(p.Last, last)
	p.ways = make(map[way]bool)
	for i := range segs {
		p.ways[wayOf(&segs[i])] = true
	}
}

// conclude ends the analyses of all points but one, unless a file may yet continue them.
func (s *session) conclude(but *point) {
	if s.Connections && s.left > 0 {
		return
	}
	for _, p := range s.points {
		if p != but {
			s.number(p)
			s.Cur = p.Analysis
			s.Conclude()
		}
	}
	s.points, s.at = s.points[:0], nil
	if but != nil {
		s.points = append(s.points, but)
	}
}
