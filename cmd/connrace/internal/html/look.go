package html

import (
	"fmt"
	"slices"
	"strings"

	"connrace/cmd/connrace/internal/report"
	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

// look is how a segment is drawn.
type look struct {
	class string // of CSS: lost, close, new, aside or ""
	dead  bool   // the receiver ignored it
	title string // what it carries, above the arrow; may be empty
}

func lookOf(f *detect.Finding, e *detect.Evidence, query bool) look {
	l := look{dead: ignored(f, e), title: carried(f, e, query)}
	switch e.Role {
	case detect.RoleFIN, detect.RoleRST, detect.RoleLBFIN, detect.RoleLBRST, detect.RoleCloseNotify:
		l.class = "close"
	case detect.RoleNewHandshake:
		l.class = "new"
	case detect.RoleStalledRequest, detect.RoleOldConnection, detect.RoleLastAnswer:
		l.class = "aside"
	case detect.RoleRequest, detect.RoleRequestRest:
		if f.Lost {
			l.class = "lost"
		}
	}
	if l.dead {
		l.class = "lost"
	}
	if f.HasStream && e.Stream != f.Stream && e.Capture == f.Capture {
		l.title = strings.TrimSpace(fmt.Sprintf("%s (stream %d)", l.title, e.Stream))
	}
	return l
}

// ignored reports whether the target took no notice of a segment: a SYN that it dropped, or
// what came for a connection that waited for room in the accept queue.
func ignored(f *detect.Finding, e *detect.Evidence) bool {
	if !e.FromLB || !f.Rule.Ignored() {
		return false
	}
	switch e.Role {
	case detect.RoleSYN, detect.RoleRepeat, detect.RoleRequest, detect.RoleRequestRest:
		if e.Flags.Has(tcpstate.SYN) {
			return !answered(f) || !newest(f, e)
		}
		return f.Lost || !newest(f, e)
	case detect.RoleACK:
		return f.Rule.Queue == detect.FullForACKs
	}
	return false
}

// answered reports whether the target answered a SYN.
func answered(f *detect.Finding) bool {
	return slices.ContainsFunc(f.Evidence, func(e detect.Evidence) bool { return e.Role == detect.RoleSYNACK })
}

// newest reports whether no later segment of a finding is a copy of e: the one that got
// through.
func newest(f *detect.Finding, e *detect.Evidence) bool {
	for i := range f.Evidence {
		x := &f.Evidence[i]
		if x.FromLB && x.Frame > e.Frame && x.Capture == e.Capture && x.Seq == e.Seq && x.Len == e.Len &&
			x.Flags.Has(tcpstate.SYN) == e.Flags.Has(tcpstate.SYN) && (x.Len > 0 || x.Flags.Has(tcpstate.SYN)) {
			return false
		}
	}
	return true
}

// carried names what a segment carries besides its flags.
func carried(f *detect.Finding, e *detect.Evidence, query bool) string {
	switch e.Role {
	case detect.RoleRequest:
		return requestLine(f.Request, query)
	case detect.RoleRequestRest:
		return "request, continued"
	case detect.RoleRepeat:
		switch {
		case e.Len > 0 && e.FromLB:
			return "request again"
		case e.Len > 0:
			return "answer again"
		}
	case detect.RoleAnswer:
		return "answer"
	case detect.RoleLastAnswer:
		return "answer before"
	case detect.RoleCloseNotify:
		what, _, _ := strings.Cut(e.Note, ":")
		return what
	case detect.RoleNewHandshake:
		return "new connection"
	case detect.RoleStalledRequest:
		return "waiting request"
	case detect.RoleOldConnection:
		return "old connection"
	}
	return ""
}

// requestLine is a request's method and path, without its query string unless that is wanted.
func requestLine(q *detect.Request, query bool) string {
	switch {
	case q == nil:
		return ""
	case q.Method == "" && q.Path == "":
		return "request, " + text.Plural(uint64(q.Bytes), "byte")
	}
	return strings.TrimSpace(text.Clean(q.Method) + " " + text.Path(q.Path, query))
}

// flagNames writes flags as Wireshark does.
func flagNames(f tcpstate.Flags) string {
	var names []string
	for _, x := range []struct {
		bit  tcpstate.Flags
		name string
	}{
		{tcpstate.FIN, "FIN"},
		{tcpstate.SYN, "SYN"},
		{tcpstate.RST, "RST"},
		{tcpstate.PSH, "PSH"},
		{tcpstate.ACK, "ACK"},
		{tcpstate.URG, "URG"},
		{tcpstate.ECE, "ECE"},
		{tcpstate.CWR, "CWR"},
	} {
		if f.Has(x.bit) {
			names = append(names, x.name)
		}
	}
	if names == nil {
		return "[none]"
	}
	return "[" + strings.Join(names, ", ") + "]"
}

// numbers writes seq, ack and len as Wireshark does, relative.
func numbers(r report.Relative, f *detect.Finding, e *detect.Evidence) string {
	seq, ack := r.Numbers(f, e)
	s := fmt.Sprintf("Seq=%d", seq)
	if e.Flags.Has(tcpstate.ACK) {
		s += fmt.Sprintf(" Ack=%d", ack)
	}
	return s + fmt.Sprintf(" Len=%d", e.Len)
}

// absolute is the same with the numbers of the packet.
func absolute(e *detect.Evidence) string {
	s := fmt.Sprintf("seq %d", uint32(e.Seq))
	if e.Flags.Has(tcpstate.ACK) {
		s += fmt.Sprintf(", ack %d", uint32(e.Ack))
	}
	return s + fmt.Sprintf(", len %d", e.Len)
}
