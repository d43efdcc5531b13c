package report

import (
	"cmp"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
)

type processDoc struct {
	PID       int      `json:"pid"`
	Name      string   `json:"name"`
	Command   optional `json:"command"`
	Container optional `json:"container"`
	Pod       optional `json:"pod"`
	Unit      optional `json:"unit"`
	Basis     string   `json:"basis"`
	Closed    optional `json:"closed_by"`
	Exit      *exitDoc `json:"exit"`
}

type exitDoc struct {
	Time   stamp       `json:"time"`
	Signal count       `json:"signal"`
	Code   count       `json:"code"`
	OOM    bool        `json:"oom"`
	Limit  count       `json:"memory_limit"`
	Killer *processDoc `json:"killer"`
	Caught *caughtDoc  `json:"caught"`
}

type caughtDoc struct {
	Time   stamp       `json:"time"`
	Signal int         `json:"signal"`
	From   *processDoc `json:"from"`
}

// processJSON is a process of the target's host; nil: unknown.
func processJSON(p *detect.Process) *processDoc {
	if p == nil {
		return nil
	}
	d := &processDoc{
		PID: p.PID, Name: text.Clean(p.Name), Command: optional(p.Command), Container: optional(p.Container), Pod: optional(p.Pod),
		Unit: optional(p.Unit), Basis: cmp.Or(p.Basis, "host"), Closed: optional(p.Closed),
	}
	if e := p.Exit; e != nil {
		d.Exit = &exitDoc{
			Time: stamp(e.Time), Signal: count{uint64(e.Signal), e.Signal != 0}, Code: count{uint64(e.Code), e.Signal == 0}, OOM: e.OOM,
			Limit: count{e.Limit, e.Limit > 0}, Killer: processJSON(e.Killer),
		}
		if c := e.Caught; c != nil {
			d.Exit.Caught = &caughtDoc{stamp(c.Time), c.Number, processJSON(c.From)}
		}
	}
	return d
}
