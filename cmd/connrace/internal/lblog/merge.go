package lblog

import (
	"cmp"
	"slices"
)

// merge takes two entries of one failed request for one: that of an error log, which says why, and that of an access log,
// which has the status.
func (j *Joiner) merge() {
	type key struct{ family, client, method, path string }
	keyOf := func(s *slot) key {
		if s.Kind.Family() == "apache" { // whose error log has no more, and not always the client
			return key{family: "apache"}
		}
		return key{s.Kind.Family(), s.Client, s.Method, s.Path}
	}
	access := map[key][]*slot{}
	for _, s := range j.slots {
		if k := keyOf(s); !s.ErrorLog && k.family != "" && s.Path != "" {
			access[k] = append(access[k], s)
		}
	}
	const most = 256 // that are looked at for one
	taken, gone := map[*slot]bool{}, map[*slot]bool{}
	for _, s := range j.slots {
		if !s.ErrorLog {
			continue
		}
		var best *slot
		fit := 0
		list := access[keyOf(s)]
		from, to := span(s.Entry)
		at, _ := slices.BinarySearchFunc(list, from, func(a *slot, from int64) int { return cmp.Compare(a.End, from) })
		for _, a := range list[at:min(len(list), at+most)] {
			if a.End > to {
				break
			}
			if a.Client != s.Client && s.Client != "" {
				continue
			}
			if fit++; !taken[a] && (best == nil || contradict(best, s) && !contradict(a, s)) {
				best = a
			}
		}
		if best == nil {
			continue
		}
		taken[best] = true
		j.join.Merged++
		j.join.Failed--
		if s.Path == "" && fit > 1 { // which of these it is is not known
			gone[s] = true
			continue
		}
		gone[best] = true
		s.Status, s.MergedLine, s.Start = best.Status, best.Line, cmp.Or(s.Start, best.Start)
		s.Method, s.Path, s.Alias, s.TraceID = cmp.Or(s.Method, best.Method), cmp.Or(s.Path, best.Path), cmp.Or(s.Alias, best.Alias), cmp.Or(s.TraceID, best.TraceID)
		s.Words = append(s.Words, best.Words...)
	}
	j.slots = slices.DeleteFunc(j.slots, func(s *slot) bool { return gone[s] })
}

// span is which times an access log may give to the request of an entry of an error log.
func span(e *Entry) (from, to int64) {
	switch {
	case e.Kind != ApacheError: // it logs when the request is over
		return e.End, e.End + max(e.Resolution, 100e6)
	case e.Failure == ReadTimeout || e.Failure == ConnectTimeout: // when it came
		return e.End - maxWait, e.End
	}
	return e.End - 2*near, e.End
}

// apache takes access logs of the common form for Apache's where its error log lies beside them: their times are when a request came.
func (j *Joiner) apache() {
	isError := func(f File) bool { return f.Kind == ApacheError }
	if !slices.ContainsFunc(j.join.Files, isError) || slices.ContainsFunc(j.join.Files, func(f File) bool { return f.Kind == NginxError }) {
		return
	}
	for i := range j.join.Files {
		if f := &j.join.Files[i]; f.Kind == NginxAccess {
			f.Kind = ApacheAccess
		}
	}
	for _, s := range j.slots {
		if s.Kind == NginxAccess {
			s.Entry.ofApache()
		}
	}
}
