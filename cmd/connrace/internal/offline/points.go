package offline

import (
	"fmt"
	"slices"
	"time"

	"connrace/capture"
	"connrace/cmd/connrace/internal/pipeline"
	"connrace/cmd/connrace/internal/text"
	"connrace/tcpstate"
)

// point is a place where packets were captured: one file, or several that continue each other.
// While files may be joined, those of several points may come by turns.
type point struct {
	*pipeline.Analysis
	path string       // of its newest file
	ways map[way]bool // of the segments at the end of that
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

// place decides where the file that begins with frames belongs: it continues that of a point, or
// begins another and says why.
func (s *session) place(path string, src *capture.File, frames []capture.Frame) (apart string) {
	if s.at != nil && len(frames) == 0 {
		return ""
	}
	h := head{path: path, links: slices.Clone(src.Info().LinkTypes)}
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
	var best *point
	for _, p := range s.points {
		why := s.unfit(p, &h)
		if p == s.at {
			apart = why
		}
		if why == "" && (best == nil || h.fitsBetter(p, best)) {
			best = p
		}
	}
	if best == nil || s.left == 0 { // what is not gone on with needs no tables any more
		s.conclude(best)
	}
	if best == nil {
		s.Begin(h.first, h.links)
		best = &point{Analysis: s.Cur}
		s.points = append(s.points, best)
	} else if apart = ""; best.Last == 0 {
		best.Window = s.Window(h.first, s.flags.Location())
	}
	s.at, s.Cur = best, best.Analysis
	best.First, best.Links, best.path = h.first, h.links, path
	return apart
}

// unfit is why a file does not continue a point; "": it does.
func (s *session) unfit(p *point, h *head) string {
	switch {
	case p.Last != 0 && h.first < max(p.Last-int64(overlap), p.First):
		return fmt.Sprintf("begins %s before the end of what came before it: analysed by itself, not as its continuation", text.Length(p.Last-h.first))
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
			s.Cur = p.Analysis
			s.Conclude()
		}
	}
	s.points, s.at = s.points[:0], nil
	if but != nil {
		s.points = append(s.points, but)
	}
}
