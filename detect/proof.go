package detect

import (
	"fmt"
	"strings"

	"connrace/tcpstate"
)

// Seen is where one of several points of the path saw a segment.
type Seen struct {
	Point   int // index of the point's first capture, as Evidence.Capture counts
	Capture int
	Frame   uint64
	Time    int64 // by the point's own clock
	After   int64 // ns after the segment of evidence itself, by what is known of the clocks; below 0: before it
	Absent  bool  // it did not see it, although it was looking; the rest is 0
}

// View is a finding's connection as one of several points of the path has it.
type View struct {
	Point      int    // index of the point's first capture, as Evidence.Capture counts
	Capture    int    // that in which it begins there
	Stream     uint32 // in that capture
	Inexact    bool   // the number may differ from Wireshark's
	LB, Target tcpstate.Endpoint
}

// DisplayFilter selects it in Wireshark.
func (v *View) DisplayFilter() string {
	if v.Inexact {
		return v.TupleFilter()
	}
	return fmt.Sprintf("tcp.stream eq %d", v.Stream)
}

// TupleFilter selects it by its addresses and ports.
func (v *View) TupleFilter() string { return string(v.appendTuple(make([]byte, 0, 128))) }

// Proof is what captures at two points of the path show of a finding together. Only Prove makes
// one.
type Proof struct {
	Place string // where it went wrong: "path", "target", "lb" or "beyond"
	Way   string // on the path: "to-target" or "to-lb"; else ""
	Text  string // a sentence that says what was seen where
}

// The places and ways of a Proof.
const (
	OnPath   = "path"
	AtTarget = "target"
	AtLB     = "lb"
	Beyond   = "beyond" // the point near the target, which is not at its host: on the path behind that, or at the target

	WayToTarget = "to-target"
	WayToLB     = "to-lb"
)

// OriginByJoining is the basis of an RST's origin where captures at both ends tell it.
const OriginByJoining = "joined"

// A Passage is how often a segment, with all of its copies, was seen at the two ends of what lies
// between two points.
type Passage struct {
	FromLB     bool
	Acked      bool    // some point shows that its receiver has it: where it was not seen, capturing missed it
	LB, Target Sighted // at the point near the LB, and near the target
}

// Sighted are the copies of a segment that a point saw.
type Sighted struct {
	Copies  int
	Checked int    // of them, those that passed the other point while that was known to capture
	Frame   uint64 // of the first
	In      string // the capture that has it
}

// first names the frame of the first copy.
func (s *Sighted) first() string { return fmt.Sprintf("frame %d of %s", s.Frame, s.In) }

// Lost reports whether it was sent and never arrived.
func (p *Passage) Lost() bool {
	sent, arrived := p.ends()
	return sent.Checked > 0 && arrived.Copies == 0 && !p.Acked
}

// Arrived reports whether it was sent and arrived.
func (p *Passage) Arrived() bool {
	sent, arrived := p.ends()
	return sent.Copies > 0 && arrived.Copies > 0
}

// MadeBetween reports whether it arrived and was never sent.
func (p *Passage) MadeBetween() bool {
	sent, arrived := p.ends()
	return arrived.Checked > 0 && sent.Copies == 0
}

// partly reports whether some copies arrived, and others did not.
func (p *Passage) partly() bool {
	sent, arrived := p.ends()
	return sent.Checked == sent.Copies && arrived.Copies > 0 && arrived.Copies < sent.Copies
}

// seen reports whether either point has it.
func (p *Passage) seen() bool { return p.LB.Copies+p.Target.Copies > 0 }

func (p *Passage) ends() (sent, arrived Sighted) {
	if p.FromLB {
		return p.LB, p.Target
	}
	return p.Target, p.LB
}

// Sightings are what two points show of what a finding is about.
type Sightings struct {
	LBName, TargetName string  // of the point near the LB, and of that near the target
	BehindLB           bool    // the one is not at the LB's host: hops lie between
	BeforeTarget       bool    // the other is not at the target's
	SYN, SYNACK        Passage // of the connection, where they are in the time of the finding
	Request            Passage // the first octet of its request
	Decisive           Passage // the decisive segment
	RST                Passage // the RST that it says something of
	RSTBeyond          bool    // it has another time to live at the target's point than all else from there: it was sent behind that
	FIN                Passage // the target's
	Answer             Passage // the first octet that answers the request
	Ack                Passage // what acknowledges the request, with data or without
	Smallest, Largest  uint32  // octets of the smallest segment that was lost on the decisive one's way, and of the largest that arrived
}

// Prove holds a finding against what was seen at two points. It is the one place where that
// changes a verdict. It reports whether it did, or made it certain.
func (f *Finding) Prove(s *Sightings) bool {
	if f.Severity == Info || f.Rule.About == AboutTarget {
		return false
	}
	if f.Rule.About == AboutHandshake {
		return f.proveHandshake(s)
	}
	if f.proveReset(s) || f.proveClose(s) {
		return true
	}
	switch {
	case s.Request.Lost():
		f.lostOnPath(s, &s.Request, "the request")
	case s.Decisive.Lost() && s.Decisive.FromLB && f.Rule.Learnt != ByOwnClose: // else it is the LB's own close
		f.lostOnPath(s, &s.Decisive, "a segment of the request")
	case s.Answer.Lost() && f.Rule.FollowsClose == NoClose:
		f.lostOnPath(s, &s.Answer, "the answer")
	case s.Decisive.Lost() && f.Rule == PathLoss:
		f.lostOnPath(s, &s.Decisive, "a segment of the answer")
	case s.Ack.Lost() && f.Rule != PathLoss && f.Rule.FollowsClose == NoClose && f.Lost && !s.Answer.Arrived():
		f.lostOnPath(s, &s.Ack, "what acknowledges the request")
	case f.Rule == PathLoss && f.Decisive(s).partly():
		f.lostInPart(s, f.Decisive(s))
	case s.Request.Arrived() && f.atTarget(s):
	default:
		return false
	}
	return true
}

// Decisive is the passage of what a finding about loss is about.
func (f *Finding) Decisive(s *Sightings) *Passage {
	if s.Decisive.seen() {
		return &s.Decisive
	}
	return &s.Request
}

// lostInPart says of what got through in the end that its copies before were lost on the way.
func (f *Finding) lostInPart(s *Sightings, p *Passage) {
	sent, arrived := p.ends()
	from, to, _, way := s.route(p)
	f.Confidence = Certain
	f.prove(Proof{OnPath, way, fmt.Sprintf("of %d copies in %s only %s came to %s: the others were lost between the two", sent.Copies, from, number(arrived.Copies), to)})
}

// proveReset says who sent the RST that a finding rests on.
func (f *Finding) proveReset(s *Sightings) bool {
	p := &s.RST
	m := &f.Measures
	switch {
	case p.MadeBetween(), m.RST == "reply" && s.repliesToNothing():
		if m.RSTOrigin, m.RSTOriginBasis = OriginBetween, OriginByJoining; f.Rule.FollowsClose != NoClose && s.FIN.Target.Copies > 0 {
			return false // the target did close, and that decides
		}
		from, arrived, way, who := s.LBName, &p.Target, WayToTarget, "LB"
		if !p.FromLB {
			from, arrived, way, who = s.TargetName, &p.LB, WayToLB, "target"
		}
		f.become(ResetInExchange)
		f.Confidence = Certain
		f.prove(Proof{OnPath, way, fmt.Sprintf("the RST (%s) is not in %s: the %s did not send it, something between the two did", arrived.first(), from, who)})
		f.own = &advice{
			fmt.Sprintf("Something between %s and %s broke the connection by an RST in the name of the %s, which did not send it: "+
				"a firewall that rejects with a TCP reset, a load balancer or NAT that had dropped the connection.", s.LBName, s.TargetName, who),
			ResetInExchange.Fix,
		}
	case p.Arrived() && !p.FromLB && s.RSTBeyond:
		m.RSTOrigin, m.RSTOriginBasis = OriginBetween, OriginByTTL
		return false // where, neither point shows
	case p.Arrived() && !p.FromLB && s.BeforeTarget:
		return false // neither shows whether it was the target's
	case p.Arrived() && !p.FromLB:
		m.RSTOrigin, m.RSTOriginBasis = OriginTarget, OriginByJoining
		if f.Rule.FollowsClose != NoClose && s.FIN.Target.Copies > 0 {
			return false // that it closed comes first
		}
		f.prove(Proof{AtTarget, "", s.cameBack("RST", p)})
	default:
		return false
	}
	f.explainOwn()
	return true
}

// repliesToNothing reports whether the RST, in the target's name, came to the LB, and the request that it would answer
// never to the target: whatever that capture leaves out, the target had nothing to reply to.
func (s *Sightings) repliesToNothing() bool {
	p := &s.RST
	return !p.FromLB && p.LB.Copies > 0 && p.Target.Copies == 0 && s.Request.Lost()
}

// proveClose says that the target closed, where its end of the path shows that.
func (f *Finding) proveClose(s *Sightings) bool {
	if f.Rule.FollowsClose == NoClose || s.FIN.Target.Copies == 0 {
		return false
	}
	text := s.cameBack("FIN", &s.FIN)
	if s.Request.Lost() {
		text += "; the request never came there, but would have met the close"
	}
	f.prove(Proof{AtTarget, "", text})
	return true
}

// cameBack says where a segment of the target was seen. That it left the target's host, only a point there shows.
func (s *Sightings) cameBack(what string, p *Passage) string {
	text := fmt.Sprintf("the %s left the target's host (%s)", what, p.Target.first())
	if s.BeforeTarget {
		text = fmt.Sprintf("the %s came from the target's side (%s)", what, p.Target.first())
	}
	switch {
	case p.Arrived() && s.BehindLB:
		text += fmt.Sprintf(" and went on to the load balancer (%s)", p.LB.first())
	case p.Arrived():
		text += fmt.Sprintf(" and came to the load balancer (%s)", p.LB.first())
	case p.Lost():
		text += " and never arrived at " + s.LBName
	}
	return text
}

// cameThere says what came as far as the point near the target, and where then the reason is.
func (s *Sightings) cameThere(what, where, then string) Proof {
	if s.BeforeTarget {
		return Proof{Beyond, "", fmt.Sprintf("%s went on towards the target (%s), and %s", what, where, then)}
	}
	return Proof{AtTarget, "", fmt.Sprintf("%s came to the target's host (%s), which %s", what, where, then)}
}

// become lets a finding be one of another rule.
func (f *Finding) become(r *Rule) {
	if f.Rule == r {
		return
	}
	f.Grounds += fmt.Sprintf("; by one capture alone it looked like %s", f.Rule.ID)
	f.Rule = r
	f.Measures.CloseCause, f.Measures.CloseCauseBasis = "", ""
	f.Cause, f.Fix, f.own, f.also = r.Cause, r.Fix, nil, ""
}

// prove adds what was proved.
func (f *Finding) prove(p Proof) {
	f.Proof = &p
	f.Summary += "; " + p.Text
	f.Grounds += "; captures at both ends show it"
}

// Unseen says that a point shows nothing of what a finding is about, and why.
func (f *Finding) Unseen(why string) { f.Summary += "; " + why }

// explainOwn lets the cause and fix of the finding alone be what is said.
func (f *Finding) explainOwn() {
	if f.own != nil {
		f.Cause, f.Fix = f.own.cause, f.own.fix
	}
}

// route is where a segment was sent and where it would have arrived, with its copies there.
func (s *Sightings) route(p *Passage) (from, to string, sent *Sighted, way string) {
	if p.FromLB {
		return s.LBName, s.TargetName, &p.LB, WayToTarget
	}
	return s.TargetName, s.LBName, &p.Target, WayToLB
}

// lostOnPath says that what was sent never arrived.
func (f *Finding) lostOnPath(s *Sightings, p *Passage, what string) {
	from, to, first, way := s.route(p)
	sent := first.first()
	if first.Checked > 1 {
		sent = fmt.Sprintf("%d copies in %s, the first in frame %d", first.Checked, from, first.Frame)
		if first.In != from {
			sent += " of " + first.In
		}
	}
	if f.Rule != StaleConnection {
		f.become(PathLoss)
	}
	f.Confidence = Certain
	text := fmt.Sprintf("%s (%s) never arrived at %s", what, sent, to)
	if sizeOf(s.Smallest, s.Largest) == TooLarge {
		text += fmt.Sprintf(", where segments of up to %d octets arrived and none of %d or more", s.Largest, s.Smallest)
	}
	f.prove(Proof{OnPath, way, text})
	switch {
	case f.Rule == StaleConnection:
		f.own = &advice{
			fmt.Sprintf("Something between %s and %s had forgotten the idle connection and dropped what the load balancer sent on it: a NAT, a firewall, a load balancer. "+
				"It was not the target, which got none of it.", s.LBName, s.TargetName),
			f.Fix,
		}
	case f.Measures.ICMP == nil:
		between := fmt.Sprintf("between %s and %s", s.LBName, s.TargetName)
		f.own = &advice{"Something " + between + " drops these segments.", PathLoss.Fix}
		f.sized(between, s.Smallest, s.Largest)
	}
	f.explainOwn()
}

// atTarget says of a request that arrived and that nobody closed, that it was the target that
// left it without an answer.
func (f *Finding) atTarget(s *Sightings) bool {
	if f.Rule.FollowsClose != NoClose || f.Rule == PathLoss || s.Answer.seen() || !f.Lost && !f.Open {
		return false
	}
	then := "acknowledged it and sent no answer"
	switch nothing := s.Ack.Target.Copies == 0; {
	case nothing && s.BeforeTarget:
		then = "nothing came back"
	case nothing:
		then = "sent nothing back"
	case s.BeforeTarget:
		then = "it was acknowledged, but not answered"
	}
	f.prove(s.cameThere("the request", s.Request.Target.first(), then))
	return true
}

// proveHandshake says where a SYN, or what answers it, was lost.
func (f *Finding) proveHandshake(s *Sightings) bool {
	p, ignored := &s.SYN, f.Rule == SYNUnanswered || f.Rule == SYNDropped
	all := s.SYNACK.Target.Copies >= p.Target.Copies // SYNs that came were answered
	switch {
	case p.MadeBetween():
		return false
	case p.Lost():
		if f.Rule == SYNDropped {
			f.become(SYNUnanswered)
		}
		if f.Rule == ConnectionRefused {
			f.Measures.RSTOrigin, f.Measures.RSTOriginBasis = OriginBetween, OriginByJoining
		} else if f.Rule != SYNUnanswered {
			return false
		}
		what := fmt.Sprintf("the SYN (%s)", p.LB.first())
		if p.LB.Checked > 1 {
			what = fmt.Sprintf("none of the %d copies of the SYN in %s", p.LB.Checked, s.LBName)
		}
		text := what + " never arrived at " + s.TargetName
		if p.LB.Checked > 1 {
			text = what + " came to " + s.TargetName
		}
		f.Confidence = Certain
		f.prove(Proof{OnPath, WayToTarget, text})
		f.pathDropsSYNs(s)
	case s.SYNACK.Lost() && (f.Rule == SYNUnanswered || f.Rule == SYNDropped && all):
		if f.Rule == SYNDropped {
			f.become(SYNUnanswered)
		}
		f.Confidence = Certain
		f.prove(Proof{OnPath, WayToLB, fmt.Sprintf("the target answered (%s), and that never arrived at %s", s.SYNACK.Target.first(), s.LBName)})
		f.own = &advice{
			fmt.Sprintf("The SYN-ACK is lost between %s and %s: a firewall or a route that knows only one direction.", s.TargetName, s.LBName), SYNUnanswered.Fix,
		}
		f.explainOwn()
	case f.Rule == ConnectionRefused && s.RST.Arrived() && !s.RSTBeyond && !s.BeforeTarget:
		f.Measures.RSTOrigin, f.Measures.RSTOriginBasis = OriginTarget, OriginByJoining
		f.Confidence = Certain
		f.prove(Proof{AtTarget, "", fmt.Sprintf("the target's host refused it (%s)", s.RST.Target.first())})
	case p.partly():
		if !ignored || !all {
			return false // the target did not answer what came to it, either
		}
		if f.Rule == SYNDropped {
			f.become(SYNUnanswered)
		}
		f.Confidence = Certain
		f.prove(Proof{OnPath, WayToTarget, fmt.Sprintf("of %d copies of the SYN in %s only %s came to %s", p.LB.Copies, s.LBName, number(p.Target.Copies), s.TargetName)})
		f.pathDropsSYNs(s)
	case s.SYNACK.partly() && ignored && all:
		if f.Rule == SYNDropped {
			f.become(SYNUnanswered)
		}
		f.Confidence = Certain
		f.prove(Proof{OnPath, WayToLB, fmt.Sprintf("of %d copies of the SYN-ACK in %s only %s came to %s", s.SYNACK.Target.Copies, s.TargetName, number(s.SYNACK.LB.Copies), s.LBName)})
	case p.Arrived() && p.Target.Copies >= p.LB.Copies && f.Rule.Queue != NoQueue:
		how := "none of them"
		switch {
		case s.SYNACK.Target.Copies > 1:
			how = "only some of them"
		case s.SYNACK.Target.Copies > 0:
			how = "only the last"
		}
		if how = "answered " + how; s.BeforeTarget {
			how = strings.TrimPrefix(how, "answered ") + " got an answer"
		}
		f.prove(s.cameThere(fmt.Sprintf("all %d copies of the SYN", p.Target.Copies), "the first in "+p.Target.first(), how))
	default:
		return false
	}
	return true
}

// pathDropsSYNs is the cause where a SYN never arrived.
func (f *Finding) pathDropsSYNs(s *Sightings) {
	f.own = &advice{
		fmt.Sprintf("Something between %s and %s drops SYNs: a firewall, a security group, a route. It is not the target, which never saw those, and no backlog.", s.LBName, s.TargetName),
		SYNUnanswered.Fix,
	}
	f.explainOwn()
}

// number is a small number in words where that reads better.
func number(n int) string {
	if n == 1 {
		return "one"
	}
	return fmt.Sprint(n)
}
