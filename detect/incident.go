package detect

import (
	"slices"

	"connrace/tcpstate"
)

// Weight says which of two findings of one incident knows better: the greater.
func (f *Finding) Weight() int {
	w := int(f.Severity) << 8
	switch {
	case f.Rule == PathLoss, f.Rule == ResetInExchange:
		w += 3 << 4
	case f.Rule.FollowsClose != NoClose:
		w += 2 << 4
	case f.Rule != StaleConnection:
		w += 1 << 4
	}
	return w
}

// Incident is what an incident of a connection is known by at every point: the first octet of the
// request that it is about, or the first of its streams of HTTP/2, or that it is about the set-up, or only its rule.
type Incident struct {
	Rule    *Rule
	Stream  uint32
	SetUp   bool
	Request tcpstate.Seq
	HasSeq  bool
}

// Incident is that of a finding.
func (f *Finding) Incident() Incident {
	if f.Rule.About == AboutHandshake {
		return Incident{SetUp: true}
	}
	if f.Severity > Info && len(f.Requests) > 0 { // several may begin in one segment, and not in the same one elsewhere
		return Incident{Stream: f.Requests[0].ID}
	}
	if f.Severity > Info && f.Request != nil {
		for i := range f.Evidence {
			if e := &f.Evidence[i]; e.Role == RoleRequest {
				return Incident{Request: e.Seq, HasSeq: true}
			}
		}
	}
	return Incident{Rule: f.Rule}
}

// SameTry reports whether findings that two points have of one connection are about the same try, whatever each of them
// lacks: where a try fails without HTTP/2, it is the last one of its connection.
func (f *Finding) SameTry(other *Finding) bool {
	if !f.Lost && !f.Open || !other.Lost && !other.Open {
		return false
	}
	if len(f.Requests) == 0 || len(other.Requests) == 0 {
		return len(f.Requests) == len(other.Requests)
	}
	return slices.ContainsFunc(f.Requests, func(x StreamRequest) bool {
		return slices.ContainsFunc(other.Requests, func(y StreamRequest) bool { return x.ID == y.ID })
	})
}

// Knows reports whether a finding knows better than another one what both are about.
func (f *Finding) Knows(other *Finding) bool {
	if f.Severity == other.Severity && len(f.Requests) != len(other.Requests) {
		return len(f.Requests) > len(other.Requests)
	}
	return f.Weight() > other.Weight()
}

// Ends says how the incident of a finding that is open ended, by what another point shows of it: there its capture went on, or has
// more.
func (f *Finding) Ends(other *Finding) {
	if !f.Open || other.Open || !other.Lost {
		return
	}
	f.Open, f.Lost, f.Severity = false, true, max(f.Severity, other.Severity)
	f.Summary += "; another capture shows that it failed"
}
