package main

import (
	"context"
	"slices"

	"github.com/spf13/pflag"

	"connrace/cmd/connrace/internal/report"
	"connrace/detect"
)

// analyzeFlags are the flags of analyze as they were given.
type analyzeFlags struct {
	commonFlags
	packetFlags
	besideFlags
	page         pageFlags
	umask        umask
	since, until moment
	streams      bool
	resync       bool
	files        []string
}

func newAnalyzeFlags() (*analyzeFlags, *pflag.FlagSet) {
	a := &analyzeFlags{commonFlags: newCommonFlags()}
	fs := pflag.NewFlagSet("analyze", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.Var(&a.target, "target", "a target: `HOST[:PORT]`, :PORT or CIDR[:PORT], IPv6 [ADDR]:PORT;\nonly its connections are analysed (repeatable)")
	a.addWhat(fs)
	fs.BoolVar(&a.streams, "streams", false, "add every TCP stream to json and jsonl")
	fs.Var(&a.since, "since", "leave out findings before `TIME`: 2006-01-02T15:04:05Z,\n'2006-01-02 15:04:05', 15:04[:05] of the day of the first packet,\nor +10s after it")
	fs.Var(&a.until, "until", "leave out findings after `TIME`")
	a.addHow(fs)
	a.addLogs(fs)
	a.addBaseline(fs)
	a.page.add(fs)
	a.packetFlags.add(fs)
	a.umask.add(fs)
	fs.BoolVar(&a.resync, "resync", false, "go on behind damaged parts of a capture")
	fs.StringArrayVarP(&a.files, "read", "r", nil, "read `FILE`, as if given as an argument (repeatable)")
	a.addTalk(fs)
	return a, fs
}

func analyzeHelp() string {
	_, fs := newAnalyzeFlags()
	return `Read captures (pcap, pcapng; plain, gzip, zstd, lz4) and report what broke between load
balancers and targets. '-' is standard input.

Usage:
  connrace [analyze] [flags] FILE...

Flags:
` + fs.FlagUsages() + `
A file that begins after the file before it ended continues it (rotated captures); other
files are analysed each on its own. --since and --until limit the findings, and what is
counted as lost; packets outside are still numbered and followed. --rule and --severity
limit only what is shown: totals and --fail-on see everything.

Exit status: 0 done, 1 --fail-on matched, 2 wrong usage, unreadable input or unwritable
output, 130 interrupted.

Examples:
  connrace analyze capture.pcapng
  connrace analyze --target 10.0.0.5:8080 --since 14:00 --until 14:05 trace.pcap.gz
  ssh host tcpdump -U -w - tcp port 8080 | connrace analyze -
  connrace analyze --format json web1-*.pcap | jq '.findings[] | .display_filter'
  connrace analyze --fail-on error -q nightly.pcap
  connrace analyze --log /var/log/nginx/error.log capture.pcap
  connrace analyze --baseline before.json after.pcap
  connrace analyze --html report.html capture.pcap
  connrace analyze --annotate commented.pcapng --evidence findings capture.pcap
`
}

// analyze is the command of that name.
func analyze(ctx context.Context, e *env, args []string) int {
	a, fs := newAnalyzeFlags()
	if code, done := e.parse(fs, analyzeHelp, args); done {
		return code
	}
	files := append(a.files, fs.Args()...)
	switch {
	case len(files) == 0:
		return e.usage("analyze", "no capture file given; '-' reads standard input")
	case a.wrongBounds() != "":
		return e.usage("analyze", "%s", a.wrongBounds())
	case stdins(files) > 1:
		return e.usage("analyze", "standard input can be read only once")
	}
	if wrong := a.packetFlags.wrong(files, e.stdin); wrong != "" {
		return e.usage("analyze", "%s", wrong)
	}
	if wrong := a.page.wrong(files, e.stdin); wrong != "" {
		return e.usage("analyze", "%s", wrong)
	}
	if wrong := a.overwritten(output{"--annotate", a.annotate}, output{"--html", a.page.html}); wrong != "" {
		return e.usage("analyze", "%s", wrong)
	}
	if wrong := idle(fs, logNeeds); wrong != "" {
		return e.usage("analyze", "%s", wrong)
	}
	availableMemory() // while all files are in reach
	s := newSession(ctx, e, a)
	plan, warn := a.plan(files), func(text string) { s.warn(text) }
	if err := e.giveUp(plan, warn); err != nil {
		e.errorf("%v", err)
		return exitError
	}
	if err := a.besideFlags.prepare(ctx); err != nil {
		e.errorf("%v", err)
		return exitError
	}
	defer s.discardPackets()
	if err := s.preparePackets(); err != nil {
		e.errorf("%v", err)
		return exitError
	}
	if err := a.page.create(a.umask); err != nil {
		e.errorf("%v", err)
		return exitError
	}
	defer a.page.file.Discard()
	e.restrict(plan, a.verbose && !a.quiet, warn)
	for _, f := range files {
		if s.stopped() {
			break
		}
		s.file(f)
	}
	return a.page.write(e, &s.report, &s.shown, s.finish())
}

func stdins(files []string) (n int) {
	for _, f := range files {
		if f == "-" {
			n++
		}
	}
	return n
}

func (a *analyzeFlags) detectOptions() detect.Options {
	o := a.commonFlags.detectOptions()
	if o.MaxFlows == 0 {
		o.MaxFlows = flowsFor(availableMemory())
	}
	o.Streams = a.streams
	return o
}

func (a *analyzeFlags) reportOptions(e *env) report.Options {
	o := a.commonFlags.reportOptions(e)
	o.Streams = a.streams
	return o
}

// window is what --since and --until make of a capture's times.
type window struct{ since, until int64 }

func (a *analyzeFlags) window(first int64) window {
	w := window{-1 << 63, 1<<63 - 1}
	if a.since.kind != unset {
		w.since = a.since.resolve(first, a.location())
	}
	if a.until.kind != unset {
		w.until = a.until.resolve(first, a.location())
	}
	return w
}

// shows reports whether a finding falls into the window. What concerns a target as a
// whole always does.
func (w window) shows(f *detect.Finding) bool {
	return !f.HasStream || f.Time >= w.since && f.Time <= w.until
}

// limit leaves out of a result the findings outside of the window, and what they count.
func (w window) limit(r *detect.Result) {
	if w == (window{-1 << 63, 1<<63 - 1}) {
		return
	}
	keep := r.Findings[:0:0]
	for _, f := range r.Findings {
		if w.shows(f) {
			keep = append(keep, f)
			continue
		}
		if !f.Lost || f.Request == nil {
			continue
		}
		r.Totals.LostRequests--
		for i := range r.Targets {
			if r.Targets[i].Target == f.Target {
				r.Targets[i].LostRequests--
			}
		}
	}
	r.Findings = keep
	r.Forgotten = slices.DeleteFunc(r.Forgotten, func(g detect.Group) bool { return g.Last < w.since || g.First > w.until })
}
