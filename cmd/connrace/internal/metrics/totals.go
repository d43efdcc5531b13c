package metrics

import "strings"

// Total is a figure that is not told apart by target.
type Total struct {
	Name  string // as OpenTelemetry writes it
	Unit  string // likewise
	Help  string
	Gauge bool // it may fall
	Of    func(*Snapshot) *uint64
}

// Totals are those that are told to all who ask.
var Totals = []Total{
	{"requests", "{request}", "Requests that load balancers sent to targets.", false, func(s *Snapshot) *uint64 { return &s.Requests }},
	{"requests.lost", "{request}", "Requests that got no answer.", false, func(s *Snapshot) *uint64 { return &s.LostRequests }},
	{"failed_connections", "{connection}", "Connections that never came to be: refused, given up, or broken off before a request.", false, func(s *Snapshot) *uint64 { return &s.FailedConnections }},
	{"failed_tries", "{try}", "Tries that failed: lost requests and failed connections.", false, func(s *Snapshot) *uint64 { return &s.failedTries }},
	{"open_tries", "{try}", "Tries that have long been unanswered and are not decided.", true, func(s *Snapshot) *uint64 { return &s.OpenTries }},
	{"client_aborts", "{request}", "Requests that the load balancer gave up, most likely with its client.", false, func(s *Snapshot) *uint64 { return &s.ClientAborts }},
	{"answers_5xx", "{answer}", "Answers of targets that say 5xx.", false, func(s *Snapshot) *uint64 { return &s.Answers5xx }},
	{"undecided", "{incident}", "Incidents that stay undecided, for frames are missing.", false, func(s *Snapshot) *uint64 { return &s.Undecided }},
	{"connections", "{connection}", "Connections that are being followed.", true, func(s *Snapshot) *uint64 { return &s.Connections }},
	{"syn_retransmissions", "{segment}", "SYNs that were sent again for want of an answer.", false, func(s *Snapshot) *uint64 { return &s.SYNRetransmissions }},
	{"capture.packets", "{packet}", "Packets that were captured.", false, func(s *Snapshot) *uint64 { return &s.Packets }},
	{"capture.drops", "{packet}", "Packets that the kernel dropped for want of room in the ring.", false, func(s *Snapshot) *uint64 { return &s.Drops }},
	{"flows.evicted", "{connection}", "Connections that were forgotten for want of room (--max-flows).", false, func(s *Snapshot) *uint64 { return &s.EvictedFlows }},
	{"targets.evicted", "{target}", "Targets that were given up for others, and are counted together since (--max-targets).", false, func(s *Snapshot) *uint64 { return &s.EvictedTargets }},
	{"evidence.files", "{file}", "Files of evidence that were written (--evidence).", false, func(s *Snapshot) *uint64 { return &s.Evidence }},
	{"evidence.lost", "{file}", "Files of evidence that could not be written.", false, func(s *Snapshot) *uint64 { return &s.EvidenceLost }},
	{"write.lost", "{packet}", "Captured packets that could not be written (-w).", false, func(s *Snapshot) *uint64 { return &s.WriteLost }},
}

// prometheus is the name that Prometheus' users expect, which OpenTelemetry's becomes when it is
// translated for them.
func (t *Total) prometheus() string {
	name := strings.ReplaceAll(t.Name, ".", "_")
	if !t.Gauge {
		name += "_total"
	}
	return name
}

// keepCounting sees to it that no counter runs backwards, which Prometheus would take for
// a restart.
func (s *Snapshot) keepCounting(old *Snapshot) {
	for _, t := range Totals {
		if !t.Gauge {
			*t.Of(s) = max(*t.Of(s), *t.Of(old))
		}
	}
}
