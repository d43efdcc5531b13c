package detect_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"connrace/capture"
	"connrace/detect"
	"connrace/pcaps"
	"connrace/tcpstate"
)

var (
	sentTimes = regexp.MustCompile(`(?:was|be) sent (\d+) times`)
	idleFor   = regexp.MustCompile(`after \S+ \S+ idle`)
	spans     = regexp.MustCompile(`(\d+(?:\.(\d+))?) (s|ms|µs)\b`)
)

// TestClaims holds what each finding's summary says against the evidence that it lists: no
// sentence may be refuted by its own frames. It walks all scripts and all real captures.
func TestClaims(t *testing.T) {
	held := map[string]int{}
	hold := func(name string, segs []tcpstate.Segment, r *detect.Result) {
		for _, f := range r.Findings {
			for claim, wrong := range claims(segs, f) {
				held[claim]++
				if wrong != "" {
					t.Errorf("%s: %q: %s", name, f.Summary, wrong)
				}
			}
		}
	}
	for _, s := range corpus(t) {
		hold(s.Name, s.Segments(), run(s))
	}
	reals, err := pcaps.Reals()
	if err != nil {
		t.Fatal(err)
	}
	for i := range reals {
		segs := realSegments(t, reals[i].File)
		hold(reals[i].File, segs, analyse(segs, detect.Options{}))
	}
	for _, claim := range []string{"acknowledged", "never acknowledged", "unanswered", "answered", "times", "frames", "right after", "after a time"} {
		if held[claim] == 0 {
			t.Errorf("no finding claims %q", claim)
		}
	}
}

// realSegments are the segments of a real capture.
func realSegments(t *testing.T, name string) (all []tcpstate.Segment) {
	t.Helper()
	data, err := pcaps.File(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := capture.NewFile(name, bytes.NewReader(data), capture.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	frames, dec := make([]capture.Frame, 256), capture.NewDecoder()
	for {
		n, err := f.Read(frames)
		for i := range frames[:n] {
			for _, g := range dec.Decode(&frames[i], nil) {
				g.Payload = bytes.Clone(g.Payload)
				all = append(all, g)
			}
		}
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// claims are what a finding's summary says that its evidence can refute, and what refutes it.
func claims(segs []tcpstate.Segment, f *detect.Finding) map[string]string {
	said := map[string]string{}
	if strings.HasPrefix(f.Summary, "the answer") {
		return said // it speaks of the target's octets
	}
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
	if strings.Contains(f.Summary, "never acknowledged") && f.Request != nil && !strings.Contains(f.Summary, "bytes") {
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
	if strings.Contains(f.Summary, "right after its handshake") {
		wrong("right after", !rightAfter(f), "the evidence does not show that")
	}
	summary := f.Summary
	if f.IdleFrom == nil {
		summary = idleFor.ReplaceAllString(summary, "") // of a stream: since its connection had none
	}
	for _, m := range spans.FindAllStringSubmatch(summary, -1) {
		if f.Rule.About == detect.AboutTarget {
			break // a median of many
		}
		wrong("after a time", !spanShown(f, segs, m), "no two times lie %s apart", m[0])
	}
	for _, m := range regexp.MustCompile(`frame (\d+)`).FindAllStringSubmatch(f.Summary, -1) {
		found := false
		for _, e := range f.Evidence {
			found = found || fmt.Sprint(e.Frame) == m[1]
		}
		found = found || f.IdleFrom != nil && fmt.Sprint(f.IdleFrom.Frame) == m[1]
		wrong("frames", !found, "frame %s is not among the evidence", m[1])
	}
	return said
}

// rightAfter reports whether an RST comes within 2 round trips and 10 ms behind the final ACK, or
// the data behind that, and only one SYN-ACK before it.
func rightAfter(f *detect.Finding) bool {
	answers, since := 0, int64(0)
	for _, e := range f.Evidence {
		switch e.Role {
		case detect.RoleSYNACK:
			answers++
		case detect.RoleACK, detect.RoleRequest:
			since = e.Time
		case detect.RoleRST:
			return answers == 1 && e.Time-since <= 2*f.Measures.RTT.NS+10_000_000
		}
	}
	return false
}

// spanShown reports whether a time that a summary names lies between two segments of the evidence,
// or between one of it and the time when it was decided, which is not before the last copy.
func spanShown(f *detect.Finding, segs []tcpstate.Segment, m []string) bool {
	unit := map[string]float64{"s": 1e9, "ms": 1e6, "µs": 1e3}[m[3]]
	v, _ := strconv.ParseFloat(m[1], 64)
	v *= unit
	slack := unit*math.Pow10(-len(m[2]))*0.51 + 1000
	if m[3] == "ms" {
		slack = max(slack, v*0.006) // three digits
	}
	times := []int64{}
	for _, e := range f.Evidence {
		times = append(times, e.Time)
	}
	if f.IdleFrom != nil {
		times = append(times, f.IdleFrom.Time)
	}
	if q := f.Request; q != nil {
		times = append(times, q.Time)
	}
	end := segs[len(segs)-1].Time
	for _, a := range times {
		for _, b := range times {
			if d := float64(b - a); d >= v-slack && d <= v+slack {
				return true
			}
		}
		if last := float64(slices.Max(times) - a); last <= v+slack && v <= float64(end-a)+slack {
			return true
		}
	}
	return false
}
