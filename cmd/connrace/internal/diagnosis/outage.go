package diagnosis

import (
	"cmp"
	"slices"
	"time"

	"connrace/detect"
	"connrace/tcpstate"
)

// Outage is a failure that many findings show: a port that refuses, a queue that is full, a
// host that does not answer, a peer that only looks.
type Outage struct {
	Findings []*detect.Finding // in order of time
	Counts   []RuleCount
	Severity detect.Severity // of the gravest
	At       string          // the listener, or the host, by name
	LBs      []string        // hosts, by name
	detect.Tries
	First, Last int64 // times
}

const (
	// leastOutage is how many findings it takes.
	leastOutage = 3
	// lull is how long a failure may not show before it counts as over.
	lull = int64(5 * time.Minute)
	// early is how long before the first SYN that a dead host does not answer requests on its
	// connections may have gone unanswered.
	early = int64(10 * time.Second)
)

// shared is what findings of one outage have in common.
type shared struct {
	rule *detect.Rule
	lb   tcpstate.Addr // of findings that are mere info
	at   tcpstate.Endpoint
}

// sharedBy is that of a finding; ok is false where it stands for itself.
func sharedBy(f *detect.Finding) (k shared, ok bool) {
	k = shared{rule: f.Rule, at: f.Target}
	switch f.Rule.Shared {
	case detect.SharedByListener:
		k.rule = cmp.Or(f.Rule.SameFix, f.Rule)
	case detect.SharedByHost:
		k.at.Port = 0
	default:
		k.lb = f.LB.Addr
		return k, f.Severity == detect.Info && f.Rule.About != detect.AboutTarget
	}
	return k, f.Socket == ""
}

// Outages are the failures that several of the findings show, the first to begin first. A
// finding belongs to one of them at most.
func Outages(fs []*detect.Finding) (all []*Outage) {
	fs = slices.Clone(fs)
	slices.SortStableFunc(fs, func(a, b *detect.Finding) int { return cmp.Compare(a.Time, b.Time) })
	now, alone := map[shared]*Outage{}, []*detect.Finding{}
	for _, f := range fs {
		k, ok := sharedBy(f)
		if !ok {
			alone = append(alone, f)
			continue
		}
		o := now[k]
		if o == nil || f.Time-o.Last > lull {
			o = &Outage{First: f.Time, At: f.TargetName()}
			if k.at.Port == 0 {
				o.At = k.at.Addr.String()
			}
			now[k] = o
			all = append(all, o)
		}
		o.Findings, o.Last = append(o.Findings, f), f.Time
	}
	all = slices.DeleteFunc(all, func(o *Outage) bool { return len(o.Findings) < leastOutage })
	for _, o := range all {
		o.takeIn(alone)
		o.describe()
	}
	return all
}

// takeIn adds what else was sent in vain to a host that is dead.
func (o *Outage) takeIn(alone []*detect.Finding) {
	host := o.Findings[0].Target.Addr
	if !slices.ContainsFunc(o.Findings, func(f *detect.Finding) bool { return f.Dead }) {
		return
	}
	for _, f := range alone {
		if f.Target.Addr == host && f.Measures.Attempts > 1 && f.Measures.RST == "" && f.Time >= o.First-early && f.Time <= o.Last {
			o.Findings = append(o.Findings, f)
		}
	}
	slices.SortStableFunc(o.Findings, func(a, b *detect.Finding) int { return cmp.Compare(a.Time, b.Time) })
	o.First = o.Findings[0].Time
}

func (o *Outage) describe() {
	rules, lbs := map[*detect.Rule]int{}, map[tcpstate.Addr]bool{}
	for _, f := range o.Findings {
		rules[f.Rule]++
		lbs[f.LB.Addr] = true
		o.Severity = max(o.Severity, f.Severity)
		o.Tries.Add(f.Tries(), 1)
	}
	o.Counts, o.LBs = CountRules(rules), make([]string, 0, len(lbs))
	for a := range lbs {
		o.LBs = append(o.LBs, a.String())
	}
	slices.Sort(o.LBs)
	o.LBs = slices.Compact(o.LBs)
}
