package live

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"connrace/capture"
	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/infile"
	"connrace/cmd/connrace/internal/memory"
	"connrace/cmd/connrace/internal/pipeline"
	"connrace/cmd/connrace/internal/recorder"
	"connrace/detect"
)

// Flags are the flags of live as they were given.
type Flags struct {
	pipeline.Common
	interfaces []string
	targets    liveTargets
	duration   cli.Seconds
	count      uint64
	ring       cli.Size
	snaplen    int
	promisc    bool
	netns      string
	user       string
	processes  cli.Choice
	ddd        string
	dump       dumpFlags
	evidence   evidenceFlags
	export     exportFlags
}

// dumpFlags say where what is captured goes, as tcpdump's of the same names.
type dumpFlags struct {
	path  string
	every cli.Seconds
	size  cli.Millions
	files int
}

// evidenceFlags say how the packets of findings are kept.
type evidenceFlags struct {
	dir      string
	max      cli.Limit
	memory   cli.Size
	snaplen  int
	annotate string
}

// NewFlags are the flags of live, and the set that parses them.
func NewFlags() (*Flags, *pflag.FlagSet) {
	l := &Flags{
		ring: capture.DefaultRing, snaplen: capture.DefaultSnaplen,
		processes: cli.OneOf("auto", "auto", "proc", "off"),
		evidence:  evidenceFlags{max: cli.Limit{Files: 1000, Bytes: 1 << 30}, memory: 64 << 20},
	}
	l.Common = pipeline.NewCommon()
	l.Format.Value = ""
	l.targets.tcp = &l.Target
	fs := pflag.NewFlagSet("live", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.StringSliceVarP(&l.interfaces, "interface", "i", nil, "watch the interface `NAME`; \"any\" is all of them (repeatable)")
	fs.Var(&l.targets, "target", "a target: `HOST[:PORT]`, :PORT or CIDR[:PORT], IPv6 [ADDR]:PORT;\nonly its connections are captured. unix:/PATH: a listening unix\nsocket whose queue is watched (repeatable)")
	l.AddWhat(fs)
	fs.Lookup("format").Usage += "\n(default: table on a terminal, else jsonl)"
	fs.Var(&l.duration, "duration", "end after `DURATION`")
	fs.Uint64VarP(&l.count, "count", "c", 0, "end after `N` packets")
	fs.Var(&l.ring, "ring", "let packets wait in `SIZE` of memory shared with the\nkernel")
	fs.IntVarP(&l.snaplen, "snaplen", "s", l.snaplen, "capture `N` bytes of each packet")
	fs.BoolVar(&l.promisc, "promiscuous", false, "also capture what is not for this host")
	fs.StringVar(&l.netns, "netns", "", "watch in the network namespace of a process `PID`, a PATH or a\nNAME of ip-netns(8); needs CAP_SYS_ADMIN")
	fs.Var(&l.processes, "processes", "name the processes of this host that findings are about, `HOW`:\nauto (also by the kernel's events, eBPF, as far as rights go),\nproc (without these), off")
	fs.StringVar(&l.ddd, "filter-ddd", "", "capture only what passes the filter in `FILE`, made by\n'tcpdump -ddd EXPRESSION'")
	fs.StringVarP(&l.user, "user", "Z", "", "as root: become the user `NAME`, or UID[:GID], once the capture is\nopen, before any output is")
	l.dump.add(fs)
	l.evidence.add(fs)
	l.export.add(fs)
	l.HTML.Add(fs)
	l.Umask.AddTo(fs)
	l.AddLogs(fs)
	l.AddBaseline(fs)
	l.AddHow(fs)
	targets := fs.Lookup("max-targets")
	l.MaxTargets, targets.DefValue = detect.LiveTargets, strconv.Itoa(detect.LiveTargets)
	fs.Lookup("max-flows").Usage = fmt.Sprintf("keep at most `N` connections in mind (default: as many as fit\ninto half of the available memory, at most %d)", detect.LiveFlows)
	l.AddTalk(fs)
	return l, fs
}

func (d *dumpFlags) add(fs *pflag.FlagSet) {
	fs.StringVarP(&d.path, "write", "w", "", "write what is captured to `FILE` (pcapng)")
	fs.VarP(&d.every, "rotate-seconds", "G", "begin another file every so many `SECONDS`; FILE should have a\ntime in it: %Y-%m-%d-%H%M%S and the like (strftime(3))")
	fs.VarP(&d.size, "rotate-size", "C", "begin another file after `SIZE` millions of bytes, or with a\nsuffix k, m, g; a number is added to FILE")
	fs.IntVarP(&d.files, "rotate-count", "W", 0, "with -C write `N` files in turn; with -G end after N")
}

func (v *evidenceFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&v.dir, "evidence", "", "write for each finding the packets of its connections that are\nstill in memory to a small pcapng in `DIR`; they hold headers and\nbodies. What else is in DIR stays")
	fs.Var(&v.max, "evidence-max", "keep at most so many of these files, or so much: `N`, SIZE or\nN,SIZE; the oldest are removed")
	fs.Var(&v.memory, "evidence-memory", "keep the newest packets in `SIZE` of memory for it and for\n--annotate")
	fs.IntVar(&v.snaplen, "evidence-snaplen", 0, "cut those packets to `N` bytes (default: as captured)")
	fs.StringVar(&v.annotate, "annotate", "", "at the end write the packets that are still in memory to `FILE`\n(pcapng), with a comment on each frame of evidence")
}

// Run watches, and returns the exit code.
func (l *Flags) Run(ctx context.Context, e *cli.Env) int {
	memory.Available() // while all files are in reach
	err := l.Prepare(ctx)
	if err == nil {
		err = l.waits()
	}
	var w *watch
	if err == nil {
		w, err = openWatch(ctx, e, l)
	}
	if err != nil {
		e.Errorf("%v", err)
		return cli.ExitError
	}
	defer w.close()
	w.run()
	return w.end()
}

// waits refuses a log that may never come: it is read at the end, which shall come soon.
func (l *Flags) waits() error {
	for _, path := range l.Logs {
		if st, err := os.Lstat(path); err == nil && st.Mode()&os.ModeNamedPipe != 0 {
			return fmt.Errorf("--log: %s: is a named pipe, which may keep the end waiting; name a file", path)
		}
	}
	return nil
}

// Wrong is what is wrong with the use of the flags; "": nothing.
func (l *Flags) Wrong(fs *pflag.FlagSet) string {
	switch d, v := &l.dump, &l.evidence; {
	case fs.NArg() > 0:
		return fmt.Sprintf("what is %q? interfaces are named with -i, captures read by 'connrace analyze'", fs.Arg(0))
	case len(l.interfaces) == 0:
		return "no interface given: -i NAME, or -i any"
	case l.WrongBounds() != "":
		return l.WrongBounds()
	case l.snaplen <= 0:
		return "--snaplen must be a number of bytes"
	case l.ring < 1e6 || l.ring > 1<<31-1:
		return "--ring must be between 1MB and 2GB"
	case d.path == "-":
		return "-w needs the name of a file: standard output holds the findings"
	case d.files < 0, d.files > 0 && d.every == 0 && d.size == 0:
		return "-W takes a number of files, and needs -C or -G"
	case v.snaplen < 0 || v.snaplen > 1<<30:
		return "--evidence-snaplen must be a number of bytes"
	case v.annotate == "-":
		return "--annotate needs the name of a file: standard output holds the findings"
	case v.memory < recorder.MinSize || v.memory > recorder.MaxSize:
		return "--evidence-memory must be between 1MB and 2GB"
	}
	for _, wrong := range []string{
		cli.Unused(fs, liveNeeds), l.export.wrong(), l.HTML.Wrong(nil, nil),
		l.Overwritten(pipeline.Output{Flag: "-w", Path: l.dump.path}, pipeline.Output{Flag: "--annotate", Path: l.evidence.annotate}, pipeline.Output{Flag: "--html", Path: l.HTML.Path}),
	} {
		if wrong != "" {
			return wrong
		}
	}
	return ""
}

// liveNeeds are flags of live that do nothing without another.
var liveNeeds = append([]cli.Needs{
	{Flag: "rotate-seconds", What: "-w FILE", Any: []string{"write"}},
	{Flag: "rotate-size", What: "-w FILE", Any: []string{"write"}},
	{Flag: "rotate-count", What: "-w FILE", Any: []string{"write"}},
	{Flag: "evidence-max", What: "--evidence DIR", Any: []string{"evidence"}},
	{Flag: "evidence-memory", What: "--evidence DIR or --annotate FILE", Any: []string{"evidence", "annotate"}},
	{Flag: "evidence-snaplen", What: "--evidence DIR", Any: []string{"evidence"}},
	{Flag: "metrics-targets-max", What: "--metrics ADDR or --otlp URL", Any: []string{"metrics", "otlp"}},
}, pipeline.LogNeeds...)

// filter is what the kernel hands over.
func (l *Flags) filter(ctx context.Context) (*capture.Filter, error) {
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
	named := l.Target.Patterns
	if len(named) == 0 {
		named = l.LB.Patterns
	}
	var ends []capture.EndpointSpec
	for _, p := range named {
		ends = append(ends, capture.EndpointSpec{Prefix: p.Prefix, Port: p.Port})
	}
	return capture.NewFilter(ends), nil
}

// liveTargets is live's flag --target: endpoints, and paths of unix sockets.
type liveTargets struct {
	tcp  *cli.Endpoints
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
