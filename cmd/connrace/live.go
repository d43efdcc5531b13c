package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"connrace/capture"
	"connrace/cmd/connrace/internal/infile"
	"connrace/cmd/connrace/internal/recorder"
	"connrace/detect"
)

// liveFlags are the flags of live as they were given.
type liveFlags struct {
	analyzeFlags
	interfaces []string
	targets    liveTargets
	duration   seconds
	count      uint64
	ring       size
	snaplen    int
	promisc    bool
	netns      string
	user       string
	ddd        string
	dump       dumpFlags
	evidence   evidenceFlags
	export     exportFlags
}

// dumpFlags say where what is captured goes, as tcpdump's of the same names.
type dumpFlags struct {
	path  string
	every seconds
	size  millions
	files int
}

// evidenceFlags say how the packets of findings are kept.
type evidenceFlags struct {
	dir      string
	max      limit
	memory   size
	snaplen  int
	annotate string
}

func newLiveFlags() (*liveFlags, *pflag.FlagSet) {
	l := &liveFlags{
		ring: capture.DefaultRing, snaplen: capture.DefaultSnaplen,
		evidence: evidenceFlags{max: limit{Files: 1000, Bytes: 1 << 30}, memory: 64 << 20},
	}
	l.commonFlags = newCommonFlags()
	l.format.value = ""
	l.targets.tcp = &l.target
	fs := pflag.NewFlagSet("live", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.StringSliceVarP(&l.interfaces, "interface", "i", nil, "watch the interface `NAME`; \"any\" is all of them (repeatable)")
	fs.Var(&l.targets, "target", "a target: `HOST[:PORT]`, :PORT or CIDR[:PORT], IPv6 [ADDR]:PORT;\nonly its connections are captured. unix:/PATH: a listening unix\nsocket whose queue is watched (repeatable)")
	l.addWhat(fs)
	fs.Lookup("format").Usage += "\n(default: table on a terminal, else jsonl)"
	fs.Var(&l.duration, "duration", "end after `DURATION`")
	fs.Uint64VarP(&l.count, "count", "c", 0, "end after `N` packets")
	fs.Var(&l.ring, "ring", "let packets wait in `SIZE` of memory shared with the\nkernel")
	fs.IntVarP(&l.snaplen, "snaplen", "s", l.snaplen, "capture `N` octets of each packet")
	fs.BoolVar(&l.promisc, "promiscuous", false, "also capture what is not for this host")
	fs.StringVar(&l.netns, "netns", "", "watch in the network namespace of a process `PID`, a PATH or a\nNAME of ip-netns(8); needs CAP_SYS_ADMIN")
	fs.StringVar(&l.ddd, "filter-ddd", "", "capture only what passes the filter in `FILE`, made by\n'tcpdump -ddd EXPRESSION'")
	fs.StringVarP(&l.user, "user", "Z", "", "as root: become the user `NAME`, or UID[:GID], once the capture is\nopen, before any output is")
	l.dump.add(fs)
	l.evidence.add(fs)
	l.export.add(fs)
	l.page.add(fs)
	l.umask.add(fs)
	l.addLogs(fs)
	l.addBaseline(fs)
	l.addHow(fs)
	targets := fs.Lookup("max-targets")
	l.maxTargets, targets.DefValue = detect.LiveTargets, strconv.Itoa(detect.LiveTargets)
	fs.Lookup("max-flows").Usage = fmt.Sprintf("keep at most `N` connections in mind (default: as many as fit\ninto half of the available memory, at most %d)", detect.LiveFlows)
	l.addTalk(fs)
	return l, fs
}

func (d *dumpFlags) add(fs *pflag.FlagSet) {
	fs.StringVarP(&d.path, "write", "w", "", "write what is captured to `FILE` (pcapng)")
	fs.VarP(&d.every, "rotate-seconds", "G", "begin another file every so many `SECONDS`; FILE should have a\ntime in it: %Y-%m-%d-%H%M%S and the like (strftime(3))")
	fs.VarP(&d.size, "rotate-size", "C", "begin another file after `SIZE` millions of octets, or with a\nsuffix k, m, g; a number is added to FILE")
	fs.IntVarP(&d.files, "rotate-count", "W", 0, "with -C write `N` files in turn; with -G end after N")
}

func (v *evidenceFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&v.dir, "evidence", "", "write for each finding the packets of its connections that are\nstill in memory to a small pcapng in `DIR`; they hold headers and\nbodies. What else is in DIR stays")
	fs.Var(&v.max, "evidence-max", "keep at most so many of these files, or so much: `N`, SIZE or\nN,SIZE; the oldest are removed")
	fs.Var(&v.memory, "evidence-memory", "keep the newest packets in `SIZE` of memory for it and for\n--annotate")
	fs.IntVar(&v.snaplen, "evidence-snaplen", 0, "cut those packets to `N` octets (default: as captured)")
	fs.StringVar(&v.annotate, "annotate", "", "at the end write the packets that are still in memory to `FILE`\n(pcapng), with a comment on each frame of evidence")
}

func liveHelp() string {
	_, fs := newLiveFlags()
	return `Watch an interface of this host (Linux), beside a target or a load balancer, for as long
as wanted: findings are shown as they are settled. On the target's host the kernel is
asked, too, how full the accept queues are and what it dropped.

Usage:
  connrace live -i NAME [flags]

Flags:
` + fs.FlagUsages() + `
SIGINT, SIGTERM, SIGHUP, --duration and -c end it with the full report, a second signal at
once; SIGUSR1 shows the report so far. Where nobody reads the output (a pager that is not
scrolled), the capture goes on, and a signal ends it nevertheless: files are whole, the
report is given up. Memory is bounded, and so is what is written: of the findings of a kind
the first thousand are shown, then one a minute and how many there were. Capturing needs
CAP_NET_RAW: root, 'setcap cap_net_raw+ep' on the program, or AmbientCapabilities= in a
systemd unit.

Exit status: 0 done, 1 --fail-on matched, 2 wrong usage, unwritable output, or an interface
that is gone.

Examples:
  connrace live -i eth0 --target :8080
  connrace live -i any --target 10.0.0.5:8080 --lb 10.0.0.0/24 --evidence /var/lib/connrace
  connrace live -i eth0 --target :8080 --duration 1h --format json > report.json
  connrace live -i eth0 --target :8080 --target unix:/run/app.sock -w '/tmp/%H.pcapng' -G 3600
  connrace live -i eth0 --netns 4711 --target :3000
`
}

// live is the command of that name.
func live(ctx context.Context, e *env, args []string) int {
	l, fs := newLiveFlags()
	if code, done := e.parse(fs, liveHelp, args); done {
		return code
	}
	if wrong := l.wrong(fs); wrong != "" {
		return e.usage("live", "%s", wrong)
	}
	collectUsually()
	if l.format.value == "" {
		l.format.value = "jsonl"
		if isTerminal(e.stdout) {
			l.format.value = "table"
		}
	}
	e, flush := e.apart(ctx)
	return flush(l.run(ctx, e))
}

// run watches, and returns the exit code.
func (l *liveFlags) run(ctx context.Context, e *env) int {
	availableMemory() // while all files are in reach
	err := l.prepare(ctx)
	if err == nil {
		err = l.waits()
	}
	var w *watch
	if err == nil {
		w, err = openWatch(ctx, e, l)
	}
	if err != nil {
		e.errorf("%v", err)
		return exitError
	}
	defer w.close()
	w.run()
	return w.end()
}

// waits refuses a log that may never come: it is read at the end, which shall come soon.
func (l *liveFlags) waits() error {
	for _, path := range l.logs {
		if st, err := os.Lstat(path); err == nil && st.Mode()&os.ModeNamedPipe != 0 {
			return fmt.Errorf("--log: %s: is a named pipe, which may keep the end waiting; name a file", path)
		}
	}
	return nil
}

// wrong is what is wrong with the use of the flags; "": nothing.
func (l *liveFlags) wrong(fs *pflag.FlagSet) string {
	switch d, v := &l.dump, &l.evidence; {
	case fs.NArg() > 0:
		return fmt.Sprintf("what is %q? interfaces are named with -i, captures read by 'connrace analyze'", fs.Arg(0))
	case len(l.interfaces) == 0:
		return "no interface given: -i NAME, or -i any"
	case l.wrongBounds() != "":
		return l.wrongBounds()
	case l.snaplen <= 0:
		return "--snaplen must be a number of octets"
	case l.ring < 1<<20 || l.ring > 1<<31-1:
		return "--ring must be between 1MB and 2GB"
	case d.path == "-":
		return "-w needs the name of a file: standard output holds the findings"
	case d.files < 0, d.files > 0 && d.every == 0 && d.size == 0:
		return "-W takes a number of files, and needs -C or -G"
	case v.snaplen < 0 || v.snaplen > 1<<30:
		return "--evidence-snaplen must be a number of octets"
	case v.annotate == "-":
		return "--annotate needs the name of a file: standard output holds the findings"
	case v.memory < recorder.MinSize || v.memory > recorder.MaxSize:
		return "--evidence-memory must be between 1MB and 2GB"
	}
	for _, wrong := range []string{
		idle(fs, liveNeeds), l.export.wrong(), l.page.wrong(nil, nil),
		l.overwritten(output{"-w", l.dump.path}, output{"--annotate", l.evidence.annotate}, output{"--html", l.page.html}),
	} {
		if wrong != "" {
			return wrong
		}
	}
	return ""
}

// liveNeeds are flags of live that do nothing without another.
var liveNeeds = append([]needs{
	{"rotate-seconds", "-w FILE", []string{"write"}},
	{"rotate-size", "-w FILE", []string{"write"}},
	{"rotate-count", "-w FILE", []string{"write"}},
	{"evidence-max", "--evidence DIR", []string{"evidence"}},
	{"evidence-memory", "--evidence DIR or --annotate FILE", []string{"evidence", "annotate"}},
	{"evidence-snaplen", "--evidence DIR", []string{"evidence"}},
	{"metrics-targets-max", "--metrics ADDR or --otlp URL", []string{"metrics", "otlp"}},
}, logNeeds...)

// filter is what the kernel hands over.
func (l *liveFlags) filter(ctx context.Context) (*capture.Filter, error) {
	if l.ddd != "" {
		f, err := infile.Open(ctx, l.ddd)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		filter, err := capture.ParseDDD(infile.Stream(ctx, f))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.ddd, err)
		}
		return filter, nil
	}
	// The connections of the targets have all that there is to see; where only the load
	// balancers are named, theirs have.
	named := l.target.set
	if len(named) == 0 {
		named = l.lb.set
	}
	var ends []capture.EndpointSpec
	for _, p := range named {
		ends = append(ends, capture.EndpointSpec{Prefix: p.prefix, Port: p.port})
	}
	return capture.NewFilter(ends), nil
}

// liveTargets is live's flag --target: endpoints, and paths of unix sockets.
type liveTargets struct {
	tcp  *endpoints
	unix []string
}

func (t *liveTargets) String() string { return "" }
func (t *liveTargets) Type() string   { return "TARGET" }

func (t *liveTargets) Set(s string) error {
	path, is := strings.CutPrefix(s, "unix:")
	if !is {
		return t.tcp.Set(s)
	}
	if !strings.HasPrefix(path, "/") {
		return fmt.Errorf("takes an absolute path behind unix:, not %q", path)
	}
	t.unix = append(t.unix, path)
	return nil
}

// rotateEvery is the age of a file that is written.
func (d *dumpFlags) rotateEvery() time.Duration { return time.Duration(d.every) }
