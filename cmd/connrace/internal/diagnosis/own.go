package diagnosis

import (
	"fmt"
	"slices"

	"connrace/detect"
)

// own is the problem of targets that answer with 5xx. It has no findings, for nothing is wrong with
// a connection; but an LB passes such an answer on, and its client takes it for the LB's own.
var own = reason{own: true}

// AddTarget adds a target's answers.
func (a *Answer) AddTarget(t *detect.Target) {
	if t.Answers5xx == 0 {
		return
	}
	q := a.problem(own)
	q.answers += t.Answers5xx
	q.found.add(t.Answered5xx[0], t.Answered5xx[1], t.Answers5xx)
	q.at(site{t.Target, "", t})
}

func (q *problem) describeOwn() {
	var requests uint64
	for _, t := range q.known() {
		requests += t.Requests
	}
	all := ofAll(q.answers, requests, "request")
	were := " were"
	if q.answers == 1 {
		were = " was"
	}
	q.Title = all + were + " answered with 5xx, by the target itself"
	q.What = all + " to " + q.Where() + were + " answered with 5xx" + q.found.when(q.seen, false) + ". The target sent these answers; no connection failed for them."
	q.Why = "The application, or what the target asks in its turn, failed. The load balancer passes such an answer on, so that its client cannot tell it from one of the load balancer's own."
	q.Fix = "Nothing on connections or timeouts: look in the target's own log at these times for an error, an overload or an upstream that failed."
	q.Timer = Timer{Head: "No timer", Lines: []string{"The target answered."}}
	if q.Check = q.list5xx(); q.Check != nil {
		q.FixedIf = "That lists these answers. Fixed if it lists none of a capture made after the change, with the same requests under as much load."
	}
	q.More = fed(q.seen.Run.Files) + "connrace " + q.seen.Run.files() + " --log lb.log  # which entries of the load balancer's log they are"
	if q.seen.Run.Live {
		q.More = "connrace live -i " + q.seen.Run.files() + " --log lb.log"
	}
}

// list5xx are the commands that list the answers.
func (q *problem) list5xx() (cmds []Command) {
	r := &q.seen.Run
	from := "-r "
	if r.Live {
		from = "-i "
	}
	for _, f := range r.Files[:min(len(r.Files), mostFiles)] {
		cmds = append(cmds, Command{Line: fmt.Sprintf(`%stshark %s%s -Y 'http.response.code >= 500 || http2.headers.status >= 500'`, fed(r.Files), from, r.name(f))})
	}
	return cmds
}

// fed is what comes before a command that reads standard input.
func fed(files []string) string {
	if slices.Contains(files, "-") {
		return "... | "
	}
	return ""
}
