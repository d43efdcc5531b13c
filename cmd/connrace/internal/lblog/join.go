package lblog

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"connrace/detect"
)

// Key is what an entry and a finding have in common.
type Key uint8

// The keys, the strongest first.
const (
	ByTraceID Key = iota
	ByRequestID
	ByPort // the load balancer's own end of the connection
	ByPath // method, path, target if it is logged, and time
	ByTime // target if it is logged, and time
)

func (k Key) String() string {
	return [...]string{"trace-id", "request-id", "port", "path", "time"}[k]
}

// Reason is why no finding explains an entry.
type Reason uint8

// The reasons.
const (
	// NothingFailed: the capture shows the target at work and nothing of this failure.
	NothingFailed Reason = iota
	// TargetAnswered: the target answered, by a 5xx or in a way that was not taken.
	TargetAnswered
	// AnswerComplete: the log tells of a reset that came behind a complete answer.
	AnswerComplete
	// NotOnTheWire: by what the log says, the request never reached the wire.
	NotOnTheWire
	// NoPacket: the capture shows nothing to or from the target at that moment.
	NoPacket
	// Contested: findings fit, but other entries fit them as well.
	Contested
	// ClientLeft: the client went away first.
	ClientLeft
	// AtTheEdge: the capture begins or ends there.
	AtTheEdge
	// NeverSent: captures at both ends show that the load balancer sent nothing of it.
	NeverSent
	nReasons
)

func (r Reason) String() string {
	return [...]string{"nothing-failed", "target-answered", "answer-complete", "not-on-the-wire", "no-packet", "contested", "client-left", "edge-of-capture", "never-sent"}[r]
}

// Title says it in words, of several entries.
func (r Reason) Title() string {
	return [...]string{
		"nothing of it in the capture", "answered by the target itself", "reset behind a complete answer", "never reached the wire",
		"no packet of the target at that moment",
		"fitting only findings that explain others", "given up by the client", "at the edge of the capture",
		"claimed by the log and never sent, as captures at both ends show",
	}[r]
}

// Joined is an entry that a finding explains.
type Joined struct {
	*Entry
	Finding int // id
	Rule    *detect.Rule
	By      Key
	// Among are the ids of all findings that fit equally well (at most nine are named),
	// Finding included; nil: it is the only one. RuleDoubtful: they are not of one rule.
	Among        []int
	RuleDoubtful bool
	// Contested: an entry that says otherwise whose wait it was fits the finding as well.
	Contested bool
	// Tries are the ids of findings about earlier tries of the same request.
	Tries []int
}

// Unexplained is an entry that none explains.
type Unexplained struct {
	*Entry
	Reason Reason
	Why    string // a sentence without a full stop
}

// Join is what became of the failed entries of all logs.
type Join struct {
	Files          []File
	Entries        int
	Failed         int // Explained + len(Unexplained) + OutsideCapture + Omitted
	Explained      int
	ByRule         map[string]int
	ByKey          [ByTime + 1]int
	ByReason       [nReasons]int
	Ambiguous      int // entries, explained or not, of which it is not certain which finding
	OutsideCapture int // in time
	Omitted        int // beyond what is kept
	Merged         int // pairs of lines about one request, one of which says why it failed
	Joined         []Joined
	Unexplained    []Unexplained
	Offset         time.Duration // of the load balancer's clock against the capture's, where that could be told
	Notes          []string
}

// Kind is the family of all logs, such as "alb"; "" where there are several, or none is known.
func (j *Join) Kind() string {
	kind := ""
	for i := range j.Files {
		switch k := j.Files[i].Kind.Family(); {
		case k == "" || k == kind:
		case kind == "":
			kind = k
		default:
			return ""
		}
	}
	return kind
}

// Within is how many failed entries fall into the capture's time.
func (j *Join) Within() int { return j.Explained + len(j.Unexplained) }

// Span is a time from First to Last, ns since the Unix epoch.
type Span struct{ First, Last int64 }

// Finding is a finding under the id that reports give it.
type Finding struct {
	ID int
	*detect.Finding
}

// Capture is what the captures showed.
type Capture struct {
	Spans     []Span // times to which Findings are limited
	Findings  []Finding
	Targets   []detect.Target
	Exchanges []*detect.Exchanges
	BothEnds  []BothEnds
}

// transit is how long segments were on their way between the load balancer of a target
// and the place of the capture, by target.
func (c *Capture) transit() map[endpoint]int64 {
	m := map[endpoint]int64{}
	for i := range c.Targets {
		if t := &c.Targets[i]; t.Vantage != "lb" && t.RTTMedian.Known {
			m[t.Target] = t.RTTMedian.NS / 2
		}
	}
	return m
}

const (
	// maxEntries is how many failed entries are kept.
	maxEntries = 200_000
	// far is how far outside of the capture's time an entry may lie and still be
	// joined, by an id: clocks differ.
	far = int64(5 * time.Minute)
	// near is how far clocks may differ else.
	near = int64(time.Second)
	// maxSample bounds the times that are kept of entries outside of the capture.
	maxSample = 10_000
)

// Joiner reads logs and joins them.
type Joiner struct {
	capture  Capture
	kind     Kind           // as the user says; Unknown: the lines tell
	zone     *time.Location // of times without a zone
	join     Join
	slots    []*slot
	activity *activity
	sample   []int64 // times of entries outside of the capture
	offset   int64
	longest  int64 // that the end of an entry is uncertain by
}

// slot is a kept entry and what explains it.
type slot struct {
	*Entry
	by    Key
	level int64 // how far the times were apart, rounded up
	try   *try  // nil: none
	tries []*try
	group []*try // what its try was chosen from, in order of lo
	fits  []*try // of an entry without one: what fits and explains others

	contested bool // what fits its try as well says otherwise
}

// NewJoiner makes a joiner for logs of a kind, of whatever kind if that is Unknown. Times
// in them without a zone are read as zone's.
func NewJoiner(c Capture, kind Kind, zone *time.Location) *Joiner {
	return &Joiner{
		capture: c, kind: kind, zone: zone, join: Join{ByRule: map[string]int{}}, activity: newActivity(c.Exchanges),
	}
}

// Read reads one log, plain or gzip.
func (j *Joiner) Read(ctx context.Context, path string, r io.Reader) error {
	f := File{Path: path, Kind: j.kind}
	n := len(j.join.Files)
	err := f.read(ctx, r, j.zone, func(e *Entry) {
		e.File = n
		j.keep(e)
	})
	if err != nil {
		return err
	}
	j.join.Files = append(j.join.Files, f)
	j.join.Entries += f.Entries
	j.join.Failed += f.Failed
	return nil
}

// Unread notes why a log could not be read.
func (j *Joiner) Unread(path string, err error) {
	j.join.Files = append(j.join.Files, File{Path: path, Error: err.Error()})
}

func (j *Joiner) keep(e *Entry) {
	switch {
	case !j.within(e, far):
		j.join.OutsideCapture++
		if len(j.sample) < maxSample && kinds[e.Kind].zoneless {
			j.sample = append(j.sample, e.End)
		}
	case len(j.slots) >= maxEntries:
		j.join.Omitted++
	default:
		e.detach()
		j.slots = append(j.slots, &slot{Entry: e})
	}
}

// within reports whether an entry falls into the capture's time, give or take slack.
func (j *Joiner) within(e *Entry, slack int64) bool {
	return slices.ContainsFunc(j.capture.Spans, func(s Span) bool {
		return e.last()+slack >= s.First && e.begin()-slack <= s.Last
	})
}

// Finish joins what was read.
func (j *Joiner) Finish() *Join {
	j.apache()
	slices.SortFunc(j.slots, func(a, b *slot) int {
		return cmp.Or(cmp.Compare(a.End, b.End), cmp.Compare(a.sum, b.sum), inLog(a.Entry, b.Entry))
	})
	j.merge()
	j.match()
	for _, s := range j.slots {
		switch {
		case s.try != nil:
			j.joined(s)
		case !j.within(s.Entry, near):
			j.join.OutsideCapture++
			if len(j.sample) < maxSample && kinds[s.Kind].zoneless {
				j.sample = append(j.sample, s.End)
			}
		default:
			u := j.explainAbsence(s)
			j.join.ByReason[u.Reason]++
			if u.Reason == Contested {
				j.join.Ambiguous++
			}
			j.join.Unexplained = append(j.join.Unexplained, u)
		}
	}
	j.join.Explained = len(j.join.Joined)
	slices.SortFunc(j.join.Joined, func(a, b Joined) int { return cmp.Or(cmp.Compare(a.End, b.End), inLog(a.Entry, b.Entry)) })
	slices.SortFunc(j.join.Unexplained, func(a, b Unexplained) int { return cmp.Or(cmp.Compare(a.End, b.End), inLog(a.Entry, b.Entry)) })
	j.notes()
	return &j.join
}

// inLog orders entries as they are in the logs.
func inLog(a, b *Entry) int { return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line)) }

func (j *Joiner) joined(s *slot) {
	o := Joined{Entry: s.Entry, Finding: s.try.ID, Rule: s.try.Rule, By: s.by, Contested: s.contested}
	for _, t := range s.tries {
		o.Tries = append(o.Tries, t.ID)
	}
	rivals := j.rivals(s)
	if len(rivals) > 0 || s.contested {
		j.join.Ambiguous++
	}
	if len(rivals) > 0 {
		o.Among = []int{s.try.ID}
		for _, t := range rivals {
			o.Among = append(o.Among, t.ID)
			o.RuleDoubtful = o.RuleDoubtful || t.Rule != s.try.Rule
		}
		slices.Sort(o.Among)
	}
	j.join.ByRule[s.try.Rule.ID]++
	j.join.ByKey[s.by]++
	j.join.Joined = append(j.join.Joined, o)
}

// notes say what would else be puzzling.
func (j *Joiner) notes() {
	add := func(format string, args ...any) { j.join.Notes = append(j.join.Notes, fmt.Sprintf(format, args...)) }
	for i := range j.join.Files {
		if f := &j.join.Files[i]; f.Warning != "" {
			add("%s: %s", f.Path, f.Warning)
		}
	}
	if j.join.Merged > 0 {
		add("%d requests are in the access log and in the error log; each is counted once", j.join.Merged)
	}
	if j.join.Omitted > 0 {
		add("%d failed entries were left out for want of room", j.join.Omitted)
	}
	j.join.Offset = time.Duration(j.offset)
	if d := j.join.Offset; d.Abs() >= 500*time.Millisecond {
		side := "ahead of"
		if d < 0 {
			side = "behind"
		}
		add("the load balancer's clock is %.3g s %s the capture's; entries were joined with that in mind", d.Abs().Seconds(), side)
	}
	if shift := j.zoneShift(); shift != 0 {
		add("all failed entries lie outside of the capture's time, but would fall into it were the log's times those of UTC%s: say --log-zone %s",
			zoneName(shift), zoneName(shift))
	}
}

// zoneShift is the offset from UTC that the times of a log without zones seem to have; 0:
// nothing speaks for one.
func (j *Joiner) zoneShift() time.Duration {
	if j.join.Within() > 0 || len(j.sample) == 0 {
		return 0
	}
	const step = 15 * time.Minute // zones are multiples of it
	best, most := time.Duration(0), 0
	for shift := -14 * time.Hour; shift <= 14*time.Hour; shift += step {
		n := 0
		for _, t := range j.sample {
			e := Entry{End: t - int64(shift), Resolution: 1e9}
			if j.within(&e, near) {
				n++
			}
		}
		if n > most || n == most && shift.Abs() < best.Abs() {
			best, most = shift, n
		}
	}
	if 2*most < len(j.sample) {
		return 0
	}
	// The times were read in zone: its own offset comes on top.
	_, own := time.Unix(0, j.sample[0]).In(j.zone).Zone()
	return best + time.Duration(own)*time.Second
}

func zoneName(d time.Duration) string {
	sign := "+"
	if d < 0 {
		sign, d = "-", -d
	}
	return fmt.Sprintf("%s%02d:%02d", sign, int(d.Hours()), int(d.Minutes())%60)
}
