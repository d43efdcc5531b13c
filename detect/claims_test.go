package detect_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"connrace/detect"
	"connrace/pcaps"
	"connrace/tcpstate"
)

var sentTimes = regexp.MustCompile(`(?:was|be) sent (\d+) times`)

// TestClaims holds what each finding's summary says against the evidence that it lists: no
// sentence may be refuted by its own frames.
func TestClaims(t *testing.T) {
	held := map[string]int{}
	for _, s := range corpus(t) {
		for _, f := range run(s).Findings {
			for claim, wrong := range claims(s, f) {
				held[claim]++
				if wrong != "" {
					t.Errorf("%s: %q: %s", s.Name, f.Summary, wrong)
				}
			}
		}
	}
	for _, claim := range []string{"acknowledged", "never acknowledged", "unanswered", "answered", "times", "frames"} {
		if held[claim] == 0 {
			t.Errorf("no finding claims %q", claim)
		}
	}
}

// claims are what a finding's summary says that its evidence can refute, and what refutes it.
func claims(s *pcaps.Script, f *detect.Finding) map[string]string {
	said := map[string]string{}
	if strings.HasPrefix(f.Summary, "the answer") {
		return said // it speaks of the target's octets
	}
	segs := s.Segments()
	var asked, closed *detect.Evidence
	copies := 0
	for i := range f.Evidence {
		e := &f.Evidence[i]
		switch {
		case e.Role == detect.RoleRequest && asked == nil, e.Role == detect.RoleSYN && asked == nil && f.Request == nil:
			asked = e
			copies++
		case e.Role == detect.RoleRepeat:
			copies++
		case (e.Role == detect.RoleLBFIN || e.Role == detect.RoleLBRST) && e.Frame == f.Frame:
			closed = e
		}
	}
	var acked, answered uint64 // frames of the target that cover the request
	var answerSeq tcpstate.Seq
	if asked != nil && f.Request != nil {
		for i := range segs {
			g := &segs[i]
			if g.Src.Addr != f.Target.Addr || g.Src.Port != f.Target.Port || g.Dst.Port != f.LB.Port || g.Flags&0x10 == 0 || !g.Ack.After(asked.Seq) {
				continue
			}
			if acked == 0 {
				acked = g.Frame
			}
			if answered == 0 && g.Len > 0 && g.Flags&0x04 == 0 && f.Measures.CloseCause != detect.CloseIdleTimeout {
				answered, answerSeq = g.Frame, g.Seq
			}
		}
	}
	wrong := func(claim string, bad bool, format string, args ...any) {
		if said[claim] == "" {
			said[claim] = ""
		}
		if bad {
			said[claim] = fmt.Sprintf(format, args...)
		}
	}
	if strings.Contains(f.Summary, "never acknowledged") && f.Request != nil && !strings.Contains(f.Summary, "octets") {
		wrong("never acknowledged", acked != 0, "frame %d acknowledges it", acked)
	}
	if strings.Contains(f.Summary, "had acknowledged it") {
		wrong("acknowledged", acked == 0, "nothing acknowledges it")
	}
	if strings.Contains(f.Summary, "not answered") {
		wrong("unanswered", answered != 0 && answered < f.Frame, "frame %d answers it", answered)
	}
	if strings.Contains(f.Summary, "had not seen when it closed") {
		wrong("answered", answered == 0 || closed == nil || closed.Flags.Has(tcpstate.ACK) && closed.Ack.After(answerSeq), "frame %d does, the close is %+v", answered, closed)
	}
	if m := sentTimes.FindStringSubmatch(f.Summary); m != nil {
		wrong("times", m[1] != fmt.Sprint(copies) && copies < 13, "the evidence has %d", copies)
	}
	for _, m := range regexp.MustCompile(`frame (\d+)`).FindAllStringSubmatch(f.Summary, -1) {
		found := false
		for _, e := range f.Evidence {
			found = found || fmt.Sprint(e.Frame) == m[1]
		}
		wrong("frames", !found, "frame %s is not among the evidence", m[1])
	}
	return said
}
