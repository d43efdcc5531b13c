package lblog

import (
	"cmp"
	"slices"
)

// merge takes two entries of one failed request for one: that of an error log, which says why, and that of an access log,
// which has the status.
func (j *Joiner) merge() {
	j.apache()
	type key struct{ family, client, method, path string }
	keyOf := func(s *slot) key {
		if s.Kind.Family() == "apache" { // whose error log has no more
			return key{family: "apache", client: s.Client}
		}
		return key{s.Kind.Family(), s.Client, s.Method, s.Path}
	}
	access := map[key][]*slot{}
	for _, s := range j.slots {
		if k := keyOf(s); !s.ErrorLog && k.family != "" && s.Path != "" {
			access[k] = append(access[k], s)
		}
	}
	taken, gone := map[*slot]bool{}, map[*slot]bool{}
	for _, s := range j.slots {
		if !s.ErrorLog {
			continue
		}
		var best *slot
		fit := 0
		for _, a := range access[keyOf(s)] {
			if !sameRequest(s.Entry, a.Entry) {
				continue
			}
			if fit++; !taken[a] && (best == nil || a.End < best.End) {
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

// sameRequest reports whether an entry of an access log and one of an error log can be of one request by their times.
func sameRequest(why, access *Entry) bool {
	if access.Wait > 0 { // it says when the request came
		late := access.End + access.Resolution + near
		if why.Failure == ReadTimeout || why.Failure == ConnectTimeout {
			late = access.last()
		}
		return access.End <= why.End && why.End <= late
	}
	return why.End <= access.End && access.End <= why.End+max(why.Resolution, 100e6)
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
