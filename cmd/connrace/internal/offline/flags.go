package offline

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"

	"github.com/spf13/pflag"

	"connrace/cmd/connrace/internal/cli"
	"connrace/cmd/connrace/internal/pipeline"
)

// Flags are the flags of analyze as they were given.
type Flags struct {
	pipeline.Common
	packets packetFlags
	pipeline.Period
	streams bool
	resync  bool
	noJoin  bool
	workers int
	files   []string
}

// NewFlags are the flags of analyze, and the set that parses them.
func NewFlags() (*Flags, *pflag.FlagSet) {
	a := &Flags{Common: pipeline.NewCommon()}
	fs := pflag.NewFlagSet("analyze", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.Var(&a.Target, "target", "a target: `HOST[:PORT]`, :PORT or CIDR[:PORT], IPv6 [ADDR]:PORT;\nonly its connections are analysed (repeatable)")
	a.AddWhat(fs)
	fs.BoolVar(&a.streams, "streams", false, "add every TCP stream to json and jsonl")
	fs.Var(&a.Since, "since", "leave out findings before `TIME`: 2006-01-02T15:04:05Z,\n'2006-01-02 15:04:05', 15:04[:05] of the day of the first packet,\nor +10s after it")
	fs.Var(&a.Until, "until", "leave out findings after `TIME`")
	a.AddHow(fs)
	a.AddLogs(fs)
	a.AddBaseline(fs)
	a.HTML.Add(fs)
	a.packets.add(fs)
	a.Umask.AddTo(fs)
	fs.BoolVar(&a.noJoin, "no-join", false, "analyse captures of the same connections, taken at several\npoints, each by itself")
	fs.BoolVar(&a.resync, "resync", false, "go on behind damaged parts of a capture")
	fs.IntVar(&a.workers, "workers", 0, fmt.Sprintf("use at most `N` processors (default: all that there are, at most %d)", mostWorkers))
	fs.StringArrayVarP(&a.files, "read", "r", nil, "read `FILE`, as if given as an argument (repeatable)")
	a.AddTalk(fs)
	return a, fs
}

// Wrong is what is wrong with the use of the flags; "": nothing.
func (a *Flags) Wrong(fs *pflag.FlagSet, stdin io.Reader) string {
	a.files = append(a.files, fs.Args()...)
	switch {
	case len(a.files) == 0:
		return "no capture file given; '-' reads standard input"
	case a.WrongBounds() != "":
		return a.WrongBounds()
	case a.workers < 0 || a.workers == 0 && fs.Changed("workers"):
		return "--workers must be at least 1"
	case stdins(a.files) > 1:
		return "standard input can be read only once"
	}
	var outs []pipeline.Output
	for _, to := range slices.Sorted(maps.Values(a.packets.copies(a.files))) {
		outs = append(outs, pipeline.Output{Flag: "--annotate", Path: to})
	}
	return cmp.Or(
		a.Period.Wrong(), a.packets.wrong(a.files, stdin), a.HTML.Wrong(a.files, stdin),
		a.Overwritten(append(outs, pipeline.Output{Flag: "--html", Path: a.HTML.Path})...), cli.Unused(fs, pipeline.LogNeeds),
	)
}

const (
	// mostWorkers is how many processors are used unless the user asks for more: what is done beside the analysis is soon done.
	mostWorkers = 8
	// mostAsked are used at most, whoever asks: each takes memory, and there are no more files that wait for them.
	mostAsked = 256
)

// processors is how many processors are used.
func (a *Flags) processors() int {
	if a.workers > 0 {
		return min(a.workers, mostAsked)
	}
	return min(runtime.GOMAXPROCS(0), mostWorkers)
}

func stdins(files []string) (n int) {
	for _, f := range files {
		if f == "-" {
			n++
		}
	}
	return n
}
