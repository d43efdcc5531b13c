package report

import (
	"fmt"
	"slices"

	"connrace/cmd/connrace/internal/join"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// Joined are two captures, or series of them, that hold the same connections; A was taken nearer
// to the load balancer.
type Joined struct {
	A, B Point
	join.Link
}

// Point is where captures were taken.
type Point struct {
	First   int    // place of the first of them in Analysis.Captures
	Capture int    // its index in Report.Captures
	Name    string // what texts call it
	Place   Place
	// Exchanges are what it shows of targets, by the names that it knows them by; nil: no log is
	// compared.
	Exchanges *detect.Exchanges
}

// Place is where on the path from the load balancer to the target a point is.
type Place string

// The places. AtLB and AtTarget are known by the round trips of handshakes; of others only their
// order is known.
const (
	AtLB          Place = "lb"
	TowardsLB     Place = "towards-lb"
	Between       Place = "between"
	TowardsTarget Place = "towards-target"
	AtTarget      Place = "target"
)

func (p Place) String() string {
	switch p {
	case AtLB:
		return "at the load balancer"
	case TowardsLB:
		return "towards the load balancer"
	case TowardsTarget:
		return "towards the target"
	case AtTarget:
		return "at the target"
	}
	return "between the two"
}

// PlaceOf is the place of the k-th of n points, whose capture shows so much of targets.
func PlaceOf(k, n int, ts []detect.Target) Place {
	seen := func(vantage string) bool {
		return len(ts) > 0 && !slices.ContainsFunc(ts, func(t detect.Target) bool { return t.Vantage != vantage })
	}
	switch {
	case k == 0 && seen("lb"):
		return AtLB
	case k == 0:
		return TowardsLB
	case k < n-1:
		return Between
	case seen("target"):
		return AtTarget
	}
	return TowardsTarget
}

func (p Point) String() string { return p.Place.String() + ": " + p.Name }

// Text says what is joined, in a sentence.
func (j *Joined) Text() string {
	a, b := j.Shared+j.OnlyAt[0], j.Shared+j.OnlyAt[1]
	if j.Inside {
		return j.inside()
	}
	s := fmt.Sprintf("%s of %s of %s are in %s", text.Grouped(uint64(j.Shared)), text.Plural(uint64(a), "connection"), j.A.Name, j.B.Name)
	if b > j.Shared {
		s += fmt.Sprintf(", which has %s", text.Plural(uint64(b), "connection"))
	}
	s += ": joined; "
	k := &j.Clock
	if !k.Known {
		return s + "how the clocks stand to each other cannot be told."
	}
	s += "clocks " + j.Apart() + " apart"
	if k.DriftKnown && k.Drift != 0 {
		s += fmt.Sprintf(", drifting by %.1f ppm", k.Drift*1e6)
	}
	const most = 3
	for i, w := range j.Ways[:min(len(j.Ways), most)] {
		to := "the target"
		if len(j.Ways) > 1 {
			to = w.Target.String()
		}
		s += fmt.Sprintf("%s %s to %s and %s back", [2]string{"; by that", ","}[min(i, 1)], text.Short(w.ToTarget), to, text.Short(w.ToLB))
	}
	if n := len(j.Ways) - most; n > 0 {
		s += fmt.Sprintf(", and %d more targets", n)
	}
	s += "."
	return s + j.translations()
}

// translations are what addresses are at the further point.
func (j *Joined) translations() (s string) {
	for i := range j.NAT {
		n := &j.NAT[i]
		s += fmt.Sprintf(" %s is %s there.", n.From, n.To)
		if i == 3 {
			break
		}
	}
	return s
}

// inside says it of captures that show connections twice.
func (j *Joined) inside() string {
	s := fmt.Sprintf("%s shows %s twice, the second time behind the translation of addresses: each counts once.", j.A.Name, text.Plural(uint64(j.Shared), "connection"))
	if n := j.OnlyAt[1]; n > 0 {
		s += fmt.Sprintf(" Of %s more it shows only what is behind that.", text.Plural(uint64(n), "connection"))
	}
	return s + j.translations()
}

// Apart is how far the clocks are apart and how far off that can be: the one says nothing without
// the other.
func (j *Joined) Apart() string {
	k := &j.Clock
	d := "0"
	if k.Offset != 0 {
		d = text.Short(max(k.Offset, -k.Offset))
	}
	return d + "\u00a0±\u00a0" + text.Short(max(k.Hi-k.Offset, k.Offset-k.Lo))
}

type linkDoc struct {
	Points      []int             `json:"points"`
	Places      []Place           `json:"places"`
	Connections int               `json:"connections"`
	Offset      seconds           `json:"clock_offset_seconds"`
	Bounds      []seconds         `json:"offset_bounds_seconds"`
	At          stamp             `json:"clock_offset_at"`
	Drift       *float64          `json:"clock_drift_ppm"`
	OneWay      map[string]wayDoc `json:"one_way_seconds"`
	NAT         []natDoc          `json:"nat"`
	OnlyAt      counts            `json:"only_at"`
}

type wayDoc struct {
	ToTarget       seconds   `json:"to_target"`
	ToTargetBounds []seconds `json:"to_target_bounds"`
	ToLB           seconds   `json:"to_lb"`
	ToLBBounds     []seconds `json:"to_lb_bounds"`
}

type natDoc struct {
	Role        string `json:"role"`
	From        string `json:"from"`
	To          string `json:"to"`
	Connections int    `json:"connections"`
}

// joined writes what was joined, where there are several captures.
func (j *object) joined(r *Report) {
	if len(r.Captures) < 2 && len(r.Joined) == 0 {
		return
	}
	j.list("joined", func(add func(any)) {
		for i := range r.Joined {
			add(linkJSON(&r.Joined[i]))
		}
	})
}

func linkJSON(x *Joined) linkDoc {
	k := &x.Clock
	known := func(ns int64) seconds { return seconds{NS: ns, Known: k.Known} }
	d := linkDoc{
		Points: []int{x.A.Capture, x.B.Capture}, Places: []Place{x.A.Place, x.B.Place}, Connections: x.Shared, Offset: known(k.Offset), At: stamp(k.At),
		Bounds: []seconds{known(k.Lo), known(k.Hi)}, OneWay: map[string]wayDoc{}, NAT: []natDoc{},
	}
	if k.Known && k.DriftKnown {
		ppm := k.Drift * 1e6
		d.Drift = &ppm
	}
	for _, w := range x.Ways {
		// What the clocks may be off by, the one way may be longer and the other shorter.
		more, less := k.Hi-k.Offset, k.Offset-k.Lo
		d.OneWay[w.Target.String()] = wayDoc{
			known(w.ToTarget),
			[]seconds{known(max(w.ToTarget-more, 0)), known(w.ToTarget + less)},
			known(w.ToLB),
			[]seconds{known(max(w.ToLB-less, 0)), known(w.ToLB + more)},
		}
	}
	for _, n := range x.NAT {
		d.NAT = append(d.NAT, natDoc{n.Role, n.From, n.To, n.N})
	}
	only := []int{x.OnlyAt[0], x.OnlyAt[1]}
	names := []string{fmt.Sprint(x.A.Capture), fmt.Sprint(x.B.Capture)}
	if x.Inside {
		only, names = []int{only[0] + only[1]}, names[:1]
	}
	d.OnlyAt = counts{names, func(n string) uint64 { return uint64(only[slices.Index(names, n)]) }}
	return d
}

type seenDoc struct {
	Point   int      `json:"point"`
	Capture *int     `json:"capture,omitempty"`
	Frame   uint64   `json:"frame,omitempty"`
	Time    stamp    `json:"time,omitempty"`
	After   *seconds `json:"after_seconds,omitempty"`
	Absent  bool     `json:"absent,omitempty"`
}

// seenJSON is where points saw a segment; null where there is one point.
func seenJSON(a *Analysis, ss []detect.Seen) []seenDoc {
	var out []seenDoc
	for _, s := range ss {
		d := seenDoc{Point: a.capture(s.Point), Absent: s.Absent}
		if !s.Absent {
			c := a.capture(s.Capture)
			d.Capture, d.Frame, d.Time, d.After = &c, s.Frame, stamp(s.Time), &seconds{NS: s.After, Known: true}
		}
		out = append(out, d)
	}
	return out
}

type viewDoc struct {
	Point         int    `json:"point"`
	Capture       int    `json:"capture"`
	Stream        uint32 `json:"stream"`
	LB            string `json:"lb"`
	Target        string `json:"target"`
	DisplayFilter string `json:"display_filter"`
}

// viewsJSON are a finding's connection at several points; null where there is one.
func viewsJSON(a *Analysis, vs []detect.View) []viewDoc {
	var out []viewDoc
	for i := range vs {
		v := &vs[i]
		out = append(out, viewDoc{a.capture(v.Point), a.capture(v.Capture), v.Stream, v.LB.String(), v.Target.String(), v.DisplayFilter()})
	}
	return out
}

type proofDoc struct {
	Place string   `json:"place"`
	Way   optional `json:"way"`
	Text  string   `json:"text"`
}

func proofJSON(p *detect.Proof) *proofDoc {
	if p == nil {
		return nil
	}
	return &proofDoc{p.Place, optional(p.Way), text.Clean(p.Text)}
}
