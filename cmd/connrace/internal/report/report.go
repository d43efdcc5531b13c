// Package report shows what an analysis found: as tables, JSON and JSON lines. All
// strings that come from packets or file names are made harmless on the way out.
package report

import (
	"maps"
	"math"
	"slices"
	"time"

	"connrace/cmd/connrace/internal/baseline"
	"connrace/cmd/connrace/internal/diagnosis"
	"connrace/cmd/connrace/internal/join"
	"connrace/cmd/connrace/internal/lblog"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

// Report is everything that a run of connrace learnt.
type Report struct {
	Captures []Capture
	Analyses []Analysis
	Skipped  map[string]uint64 // frames without a TCP segment, by reason
	// Listeners are endpoints that look like listeners, the busiest first; known only
	// where --target matched nothing.
	Listeners []string
	// Since and Until say in words to what the findings were limited; "" where they
	// were not.
	Since, Until string
	Joined       []Joined // captures of the same connections, pair by pair along the path
	Interrupted  bool     // the input was not read to its end
	CutShort     bool     // or joined captures were not compared to the end; Warnings say so
	Live         bool     // an interface was watched
	Merged       []string // the reports that this one was made of; nil: it was made of captures
	Flags        []string // that decide what is analysed, as they were given
	Page         string   // where the report is written as HTML; "": nowhere

	Log      *lblog.Join          // what load balancers' logs say beside it; nil: none was given
	Baseline *baseline.Comparison // with an earlier report; nil: none was given
}

// Capture is one capture that was read.
type Capture struct {
	Path        string // as the user named it
	Format      string // "pcap", "pcapng" or "snoop"
	Compression string // "", "gzip", "zstd" or "lz4"
	LinkTypes   []uint16
	Frames      uint64
	Bytes       int64
	First, Last int64 // ns since the Unix epoch, 0: no frame had a time
	Snaplen     uint32
	Truncated   bool // cut off or damaged
	Gaps        int  // damaged places that were skipped
	Interrupted bool // not read to its end; Warnings say so
	Drops       uint64
	DropsKnown  bool
	Warnings    []string
}

// NameOf is what texts call a capture: the name of its file, with its directory where others have
// the same.
func (r *Report) NameOf(index int) string {
	if index < 0 || index >= len(r.Captures) {
		return "another capture"
	}
	path := r.Captures[index].Path
	if path == "-" || path == "" {
		return "standard input"
	}
	name := text.FileName(path)
	for i := range r.Captures {
		if i != index && text.FileName(r.Captures[i].Path) == name {
			return text.Clean(path)
		}
	}
	return name
}

// Analysis is one run of the detector, over one capture or several that continue each
// other.
type Analysis struct {
	Result *detect.Result
	// Captures are the indexes in Report.Captures of the captures that the Result
	// counts from 0.
	Captures []int
	FirstID  int // how many findings the analyses before it have
	// Points are where its captures were taken, along the path from the LB, and Clocks how their
	// clocks stand to each other; nil: at one place.
	Points []Point
	Clocks join.Links
	// Files are where the packets of findings were written, by Finding.ID.
	Files map[int]*EvidenceFile
}

// capture is the index in Report.Captures of a capture as the Result counts.
func (a *Analysis) capture(i int) int {
	if i >= 0 && i < len(a.Captures) {
		return a.Captures[i]
	}
	return i
}

func (a *Analysis) id(f *detect.Finding) int { return a.FirstID + f.ID }

// known are the targets of the analysis by their endpoints.
func (a *Analysis) known() map[tcpstate.Endpoint]*detect.Target {
	known := make(map[tcpstate.Endpoint]*detect.Target, len(a.Result.Targets))
	for i := range a.Result.Targets {
		t := &a.Result.Targets[i]
		known[t.Target] = t
	}
	return known
}

// Found are findings of the analysis with what is known of their targets.
func (a *Analysis) Found(fs []*detect.Finding) []diagnosis.Found {
	known := a.known()
	found := make([]diagnosis.Found, len(fs))
	for i, f := range fs {
		found[i] = diagnosis.Found{Finding: f, ID: a.id(f), Known: known[f.Target]}
	}
	return found
}

// Diagnosis is the answer to the findings that are shown.
func (r *Report) Diagnosis(o *Options) *diagnosis.Diagnosis {
	seen := r.seen()
	seen.Zone = o.Location
	x := diagnosis.NewAnswer(&seen)
	for i := range r.Analyses {
		a := &r.Analyses[i]
		known := a.known()
		if len(o.Rules) == 0 && o.MinSeverity == detect.Info {
			for k := range a.Result.Targets {
				x.AddTarget(&a.Result.Targets[k])
			}
		}
		for _, f := range a.Result.Findings {
			if o.Shows(f) {
				x.Add(diagnosis.Found{Finding: f, ID: a.id(f), Known: known[f.Target]})
			}
		}
		for k := range a.Result.Forgotten {
			if g := &a.Result.Forgotten[k]; o.allows(g.Rule, g.Severity) {
				x.AddCounted(g, known[g.Target])
			}
		}
	}
	return x.Diagnosis()
}

// seen is what the diagnosis says was looked at.
func (r *Report) seen() diagnosis.Seen {
	t := r.Totals()
	names := map[string]bool{}
	for i := range r.Analyses {
		for k := range r.Analyses[i].Result.Targets {
			names[diagnosis.TargetName(r.Analyses[i].Result.Targets[k].Target)] = true
		}
	}
	run := diagnosis.Run{Live: r.Live, Merged: r.Merged, Flags: r.Flags, Page: r.Page}
	for i := range r.Captures {
		run.Files = append(run.Files, r.Captures[i].Path)
	}
	if r.Baseline != nil {
		run.Baseline = r.Baseline.Path
	}
	return diagnosis.Seen{
		Frames: t.Frames, Connections: t.Flows, Requests: t.Requests, Tries: t.Tries, Answers5xx: t.Answers5xx, Undecided: t.Undecided,
		Targets: slices.Sorted(maps.Keys(names)), Run: run,
	}
}

// Options say what of a Report is shown and how.
type Options struct {
	Rules       map[string]bool // by id; empty: all
	MinSeverity detect.Severity
	ShowQuery   bool // with their query strings
	Streams     bool // JSON: every stream
	Verbose     bool // table: info findings and all evidence
	Color       bool // table
	Width       int  // table: columns; 0: a default
	Location    *time.Location
}

// Shows reports whether a finding passes --rule and --severity.
func (o *Options) Shows(f *detect.Finding) bool { return o.allows(f.Rule, f.Severity) }

func (o *Options) allows(r *detect.Rule, s detect.Severity) bool {
	return s >= o.MinSeverity && (len(o.Rules) == 0 || o.Rules[r.ID])
}

// Totals are the sums over all captures.
type Totals struct {
	detect.Totals
	Frames     uint64
	Findings   map[string]int // by rule, of all findings whether shown or not
	Unlisted   uint64         // of them, those that were counted only
	StreamsCut bool           // not all streams are listed
	Drops      uint64
	DropsKnown bool
	Unanswered uint64 // connections without any segment of the target
	Pending    uint64 // those without one yet
}

// Totals adds everything up.
func (r *Report) Totals() Totals {
	t := Totals{Findings: map[string]int{}}
	for i := range r.Captures {
		c := &r.Captures[i]
		t.Frames += c.Frames
		t.Drops += c.Drops
		t.DropsKnown = t.DropsKnown || c.DropsKnown
	}
	for i := range r.Analyses {
		x := r.Analyses[i].Result
		t.Segments += x.Totals.Segments
		t.Streams += x.Totals.Streams
		t.Requests += x.Totals.Requests
		t.Tries.Add(x.Totals.Tries, 1)
		t.Answers5xx += x.Totals.Answers5xx
		t.Undecided += x.Totals.Undecided
		t.RSTAfterFIN.Total += x.Totals.RSTAfterFIN.Total
		t.RSTAfterFIN.Explained += x.Totals.RSTAfterFIN.Explained
		t.EvictedFlows += x.Totals.EvictedFlows
		t.EvictedTargets += x.Totals.EvictedTargets
		t.MergedConnections += x.Totals.MergedConnections
		t.OneDirection += x.Totals.OneDirection
		t.NoHandshake += x.Totals.NoHandshake
		t.NoPayload += x.Totals.NoPayload
		t.HTTP2InTLS += x.Totals.HTTP2InTLS
		t.HTTP2Unread += x.Totals.HTTP2Unread
		t.OtherProtocols += x.Totals.OtherProtocols
		t.UnfollowedStreams += x.Totals.UnfollowedStreams
		t.Scans = append(t.Scans, x.Totals.Scans...)
		t.Flows += x.Totals.Flows
		for _, f := range x.Findings {
			t.Findings[f.Rule.ID]++
		}
		for _, g := range x.Forgotten {
			t.Findings[g.Rule.ID] += int(g.Count)
			t.Unlisted += g.Count
		}
		t.StreamsCut = t.StreamsCut || x.StreamsCut
		if l := x.Totals.Leaps; l.Count > 0 {
			if t.Leaps.Count == 0 {
				t.Leaps = l
				t.Leaps.Capture = r.Analyses[i].capture(l.Capture)
				t.Leaps.Count = 0
			}
			t.Leaps.Count += l.Count
		}
		for j := range x.Targets {
			h := &x.Targets[j].Handshakes
			t.Unanswered += h.Unanswered
			t.Pending += h.Pending
		}
	}
	return t
}

// exactStreams is how many stream numbers of a capture, from 0 on, are certainly
// Wireshark's; MaxUint32: all.
func (r *Report) exactStreams(capture int) uint32 {
	for i := range r.Analyses {
		a := &r.Analyses[i]
		if k := slices.Index(a.Captures, capture); k >= 0 && k < len(a.Result.ExactStreams) {
			return a.Result.ExactStreams[k]
		}
	}
	return math.MaxUint32
}

// Worst is the gravest severity of all findings, shown or not.
func (r *Report) Worst() (s detect.Severity, any bool) {
	for i := range r.Analyses {
		for _, f := range r.Analyses[i].Result.Findings {
			s, any = max(s, f.Severity), true
		}
		for _, g := range r.Analyses[i].Result.Forgotten {
			s, any = max(s, g.Severity), true
		}
	}
	return s, any
}

// ruleOrder are the ids of a count by rule: in order of decision, then what is unknown.
func ruleOrder(n map[string]int) []string {
	var ids []string
	for _, r := range detect.Rules {
		if n[r.ID] > 0 {
			ids = append(ids, r.ID)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(n)) {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}
