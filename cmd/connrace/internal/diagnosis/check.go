package diagnosis

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"connrace/cmd/connrace/internal/text"
)

// Run is how the findings came about, so that the commands which check a fix are the user's own.
type Run struct {
	Files    []string // captures as they were named; of live the interface
	Live     bool
	Merged   []string // reports that this one was made of; nil: it was made of captures
	Flags    []string // that decide what is analysed, as they were given
	Page     string   // where the report is written that can be compared with; "": nowhere
	Baseline string   // the earlier report that this run was compared with; "": none
}

// mostFiles is how many files a command names.
const mostFiles = 4

// check are the commands that tell whether a change helped: what keeps the figures of this run,
// unless a file has them, then a new capture, then the comparison.
func (q *problem) check() (cmds []Command) {
	r := &q.seen.Run
	if len(r.Files) == 0 {
		return nil
	}
	before := r.Baseline
	if before == "" {
		before = r.Page
	}
	if len(r.Merged) > 0 {
		return r.checkMerged(before)
	}
	run := fed(r.Files) + "connrace " + r.files()
	if r.Live {
		run = "connrace live -i " + r.files() + " --duration 10m"
	}
	for _, f := range r.Flags {
		run += " " + quoted(f)
	}
	if before == "" {
		before = "before.json"
		cmds = append(cmds, Command{Line: run + " --format json > " + before})
	}
	if r.Live {
		return append(cmds, Command{run + " --baseline " + quoted(before), "after the change, on the same box"})
	}
	after := r.after()
	cmds = append(cmds, Command{"tcpdump -i any -w " + after + " '" + q.filter() + "'", "after the change, " + q.where()})
	compare := "connrace " + after
	for _, f := range r.Flags {
		compare += " " + quoted(f)
	}
	return append(cmds, Command{Line: compare + " --baseline " + quoted(before)})
}

// after is the file that a capture after the change is to be written to: none that this run read.
func (r *Run) after() string {
	const name = "after.pcap"
	if slices.ContainsFunc(r.Files, func(f string) bool { return filepath.Base(f) == name }) {
		return "after2.pcap"
	}
	return name
}

// fixedIf says what proves that the change helped. The comparison knows whether there was traffic enough; whether
// what brought the failures about was there again only who made the capture does.
func (q *problem) fixedIf() string {
	if q.Check == nil {
		return ""
	}
	says := `says "The fix is in effect"`
	if q.Failed()+q.OpenTries == 0 || !q.alone {
		says = "lists " + q.Rule.ID + ` behind "Gone:"` // not behind "Gone, which may be chance:"
	}
	switch others := q.code != "" || q.shared[q.Rule] > 1; { // of the rule, which may be left
	case others && q.reason == stopped: // whose title counts
		says = "tells of no such stop any more"
	case others:
		says = "tells of no \"" + q.Title + "\" any more"
	}
	trigger := q.Rule.Trigger
	switch {
	case q.cause != nil:
		trigger = q.cause.Trigger
	case q.otherCode():
		trigger = "the same requests"
	case q.reason == gone:
		trigger = "the host go away as it did here"
	}
	if r := q.Timer.Race; r != nil && r.Target > 0 {
		trigger = "requests after pauses over " + text.Short(r.Target)
	}
	run := q.seen.Run.after()
	switch r := &q.seen.Run; {
	case r.Live:
		run = "that run"
	case len(r.Merged) > 0:
		run = "those reports"
	}
	return fmt.Sprintf("Fixed if it %s and %s had %s.", says, run, trigger)
}

// where is on which box to capture again: on that where it was captured, for the same is seen there.
func (q *problem) where() string {
	at := ""
	for _, t := range q.known() {
		if at == "" {
			at = t.Vantage
		} else if at != t.Vantage {
			at = "several"
		}
	}
	switch {
	case len(q.seen.Run.Files) > 1:
	case at == "lb":
		return "on the load balancer"
	case at == "target" && len(q.Targets) == 1:
		return "on the target"
	}
	return "on the same box"
}

// checkMerged is check where reports were merged.
func (r *Run) checkMerged(before string) (cmds []Command) {
	if before == "" {
		before = "before.json"
		cmds = append(cmds, Command{fed(r.Merged) + "connrace merge " + r.list(r.Merged) + " --format json > " + before, ""})
	}
	return append(cmds, Command{"connrace merge AFTER.json... --baseline " + quoted(before), "reports made after the change"})
}

// files are the captures in a command.
func (r *Run) files() string { return r.list(r.Files) }

// list are files in a command.
func (r *Run) list(files []string) string {
	var names []string
	for i, f := range files {
		if i == mostFiles {
			names = append(names, "...")
			break
		}
		names = append(names, r.name(f))
	}
	return strings.Join(names, " ")
}

// name is a capture in a command.
func (r *Run) name(f string) string {
	if strings.HasPrefix(f, "/dev/fd/") || strings.HasPrefix(f, "/proc/self/fd/") {
		return "<(...)" // a pipe that the shell made
	}
	if !r.Live && f != "-" && (strings.HasPrefix(f, "-") || !strings.ContainsAny(f, "./")) {
		f = "./" + f // else it is a flag or, it may be, a command
	}
	return quoted(f)
}

// filter is what to capture.
func (q *problem) filter() string {
	var ports []string
	for s := range q.targets {
		if p := strconv.Itoa(int(s.Port)); s.Port != 0 && !slices.Contains(ports, p) {
			ports = append(ports, p)
		}
	}
	slices.Sort(ports)
	tcp := "tcp"
	if len(ports) > 0 && len(ports) <= mostFiles {
		tcp = "tcp port " + strings.Join(ports, " or ")
	}
	return fmt.Sprintf("%s or icmp or icmp6", tcp)
}

// quoted is a word for a shell: what is not printable is written as in Go, which $” takes, too.
func quoted(s string) string {
	if text.Clean(s) != s {
		return "$'" + text.Clean(strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s)) + "'"
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:,=+@%", r) || r > 0x7f)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
