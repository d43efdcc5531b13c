package lblog

import "connrace/detect"

// try is a finding as something that an entry may tell of: a failed try of the load
// balancer.
type try struct {
	Finding
	begin  int64 // when the load balancer sent the request's first octet, or the SYN
	lo, hi int64 // when it learnt of the failure
	blur   int64 // how well these times are known
	owner  *slot
}

// each is a finding as one for each of its requests: of HTTP/2 it may have several.
func (f Finding) each() []Finding {
	out := []Finding{f}
	for i := 1; i < len(f.Requests); i++ {
		c := *f.Finding
		c.Request = &f.Requests[i].Request
		out = append(out, Finding{f.ID, &c})
	}
	return out
}

// newTry finds out when a finding's try began and when the load balancer learnt of its
// failure, seen from the load balancer, which is transit away from the capture.
func newTry(f Finding, transit int64) *try {
	t := &try{Finding: f, begin: f.Time, lo: f.Time, hi: f.Time}
	var last, before int64 // copies of the SYN or of the request
	var shut, lbShut int64
	for i := range f.Evidence {
		e := &f.Evidence[i]
		if f.HasStream && e.Stream != f.Stream || e.Role == detect.RoleStalledRequest {
			continue
		}
		switch e.Role {
		case detect.RoleGoAway, detect.RoleStreamReset:
			if e.FromLB && lbShut == 0 {
				lbShut = e.Time
			} else if !e.FromLB && shut == 0 {
				shut = e.Time
			}
		case detect.RoleSYN, detect.RoleRequest, detect.RoleRepeat:
			before, last = last, e.Time
		case detect.RoleFIN, detect.RoleRST, detect.RoleCloseNotify:
			if shut == 0 {
				shut = e.Time
			}
		case detect.RoleLBFIN, detect.RoleLBRST:
			if lbShut == 0 {
				lbShut = e.Time
			}
		}
	}
	for i := range f.Evidence {
		if e := &f.Evidence[i]; e.Role == detect.RoleSYN || e.Role == detect.RoleRequest {
			t.begin = e.Time
			break
		}
	}
	if f.Request != nil {
		t.begin = f.Request.Time
	}
	switch f.Rule.Learnt {
	case detect.ByOwnClose:
		t.lo = lbShut - transit
		t.hi = t.lo
	case detect.BySilence:
		// Nothing shows when the load balancer gives up, but that it did so before it
		// would have tried again.
		t.lo, t.hi = last, last+min(max(1100e6, 2*(last-before)+100e6), maxWait)
		if shut != 0 {
			t.lo, t.hi = shut+transit, shut+transit
		} else if lbShut > last {
			t.lo, t.hi = lbShut-transit, lbShut-transit
		}
	default:
		// A close that was already on its way is known when it arrives; an answer to
		// the request takes the way there, too.
		t.lo = shut + transit
		t.hi = t.lo
		if lbShut != 0 && lbShut-transit < t.lo+near {
			t.lo, t.hi = min(t.lo, lbShut-transit), max(t.lo, lbShut-transit)
		}
	}
	t.begin -= transit
	t.blur = max(sure, 2*transit) // the two ways may take unlike times
	if t.lo <= transit {
		t.lo, t.hi = f.Time, f.Time
	}
	t.lo = max(t.lo, t.begin)
	t.hi = max(t.lo, t.hi)
	return t
}
