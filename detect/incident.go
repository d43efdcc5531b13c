package detect

import "connrace/tcpstate"

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
// request that it is about, or that it is about the set-up, or only its rule.
type Incident struct {
	Rule    *Rule
	SetUp   bool
	Request tcpstate.Seq
	HasSeq  bool
}

// Incident is that of a finding.
func (f *Finding) Incident() Incident {
	if f.Rule.About == AboutHandshake {
		return Incident{SetUp: true}
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

// Ends says how the incident of a finding that is open ended, by what another point shows of it: there its capture went on, or has
// more.
func (f *Finding) Ends(other *Finding) {
	if !f.Open || other.Open || !other.Lost {
		return
	}
	f.Open, f.Lost, f.Severity = false, true, max(f.Severity, other.Severity)
	f.Summary += "; another capture shows that it failed"
}
