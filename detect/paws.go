package detect

import (
	"fmt"

	"connrace/tcpstate"
)

// A host takes the timestamps of one address for those of one clock, and may drop a SYN whose TSval
// runs back: behind a NAT several clocks have one address (RFC 7323 §5.5; tcp_tw_recycle, until
// Linux 4.12).

// clocks are the newest TSvals of the SYNs that a target answered, for each address of its LBs.
type clocks []clock

type clock struct {
	lb     tcpstate.Addr
	newest tcpstate.SYNRef
	onward int  // answered SYNs whose TSval was not before the one before
	back   bool // one that ran back was answered, too: it is not minded
}

// fewClocks is how many answered SYNs must run onward: numbers by chance do not.
const fewClocks = 5

// add notes a SYN that was answered.
func (c *clocks) add(lb tcpstate.Addr, syn tcpstate.SYNRef) {
	if !syn.HasTS {
		return
	}
	k := c.of(lb)
	if k == nil {
		if len(*c) < maxLBs {
			*c = append(*c, clock{lb: lb, newest: syn, onward: 1})
		}
		return
	}
	if int32(syn.TSVal-k.newest.TSVal) < 0 {
		k.back = true
		return
	}
	k.newest = syn
	k.onward++
}

func (c *clocks) of(lb tcpstate.Addr) *clock {
	for i := range *c {
		if k := &(*c)[i]; k.lb == lb {
			return k
		}
	}
	return nil
}

// runsBack is the answered SYN of the same address against whose TSval those of ignored SYNs run
// back, although none that ran back was ever answered; ok is false if there is none.
func (x *Facts) runsBack(ignored []tcpstate.SYNRef) (newest tcpstate.SYNRef, ok bool) {
	k := x.of.told.clocks.of(x.ends[0].Addr)
	if k == nil || k.back || k.onward < fewClocks {
		return newest, false
	}
	for i := range ignored {
		s := &ignored[i]
		since := max(k.newest.Time-s.Time, 0) / millisecond // what a clock goes on by meanwhile, mostly
		if !s.HasTS || int64(int32(k.newest.TSVal-s.TSVal)) <= 2*since+1000 {
			return newest, false
		}
	}
	return k.newest, true
}

// severalClocks says of a finding about ignored SYNs that their TSvals run back.
func (x *Facts) severalClocks(f *Finding, ignored []tcpstate.SYNRef, newest tcpstate.SYNRef) {
	f.Evidence = append(f.Evidence, x.settings.evidence(newest.SegRef, true, RoleSYN, "another SYN of that address, which was answered: its TSval is newer"))
	sortEvidence(f.Evidence)
	f.Summary += fmt.Sprintf("; its TSval lies %d behind that of another SYN of %s (frame %d), which was answered",
		newest.TSVal-ignored[0].TSVal, x.ends[0].Addr, x.frame(newest.SegRef))
	f.own = &advice{
		fmt.Sprintf("Several hosts have the address %s (NAT), and the target takes their timestamps for one clock: it drops the SYNs of those whose clock is behind.", x.ends[0].Addr),
		"Set net.ipv4.tcp_tw_recycle=0 on the target (it is gone since Linux 4.12), and look at what else in front of it compares timestamps; as a first aid " +
			"set net.ipv4.tcp_timestamps=0 on the hosts behind the NAT.",
	}
}
