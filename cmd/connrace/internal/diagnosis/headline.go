package diagnosis

import (
	"fmt"
	"strings"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

// headline is the answer in a line, and the sentences below it.
func (a *Answer) headline(d *Diagnosis) (title, lede string) {
	x := a.seen
	looked := fmt.Sprintf("%s, %s to %s, %s", text.Plural(x.Frames, "frame"), text.Plural(x.Connections, "connection"),
		strings.TrimPrefix(x.to(), "its target "), text.Plural(x.Requests, "request"))
	worst := d.Severity()
	came := ""
	late := uint64(0)
	for _, q := range a.all {
		late += q.late.n
	}
	if late > 0 {
		came = fmt.Sprintf(" %s came late.", text.Plural(late, "connection"))
	}
	if x.Failed() > 0 && x.OpenTries > 0 {
		came += fmt.Sprintf(" %s still had no answer when the capture ended.", text.Grouped(x.OpenTries))
	}
	if x.Answers5xx > 0 {
		came += fmt.Sprintf(" %s said 5xx: the target sent them itself, so look in its log.", text.Plural(x.Answers5xx, "answer"))
	}
	const client = " Unless the load balancer tried again, its client saw a 502, 503 or 504 for each."
	switch {
	case x.LostRequests > 0:
		title = fmt.Sprintf("%s of %s got no answer", text.Grouped(x.LostRequests), text.Plural(x.Requests, "request"))
		if x.FailedConnections > 0 {
			title += fmt.Sprintf(", and %s failed", text.Plural(x.FailedConnections, "connection"))
		}
		return title, "Between the load balancer and " + x.to() + "." + client + came
	case x.FailedConnections > 0:
		return text.Plural(x.FailedConnections, "connection") + " could not be set up",
			"The load balancer could not connect to " + x.to() + "." + client + came
	case x.OpenTries > 0:
		return text.Plural(x.OpenTries, "try") + " still had no answer when the capture ended", "In " + looked + "." + came
	case x.Undecided > 0 && worst == detect.Info:
		return text.Plural(x.Undecided, "incident") + " undecided: frames are missing", "In " + looked + "." + came
	case len(d.Problems) > 0 && d.Problems[0].Rule == nil:
		return d.Problems[0].Title, "No connection failed in " + looked + ". The target sent these answers itself, so look in its log."
	case len(d.Problems) == 0:
		return "Nothing found", "0 findings in " + looked + "." + came
	case worst == detect.Info:
		return "No request failed", "Only harmless things were found in " + looked + "." + came
	}
	return "No request failed, but something is wrong", "In " + looked + "." + came
}

// to names the target if there is only one.
func (x *Seen) to() string {
	if len(x.Targets) == 1 {
		return "its target " + x.Targets[0]
	}
	return text.Plural(uint64(len(x.Targets)), "target")
}
