package detect

// Rule is one kind of failure: what it is called, what it looks like on the wire, why
// it happens, what to change, and all else that detect and its callers do differently
// because of it. Nothing outside of a rule's own file asks which rule it is.
//
// The texts are the only source of what `connrace explain`, the reports and the
// README say about a rule.
type Rule struct {
	ID       string   // stable: flag value, JSON value, fixture and file name
	Severity Severity // the gravest that it reports
	Mildest  Severity // the mildest that it reports
	Lost     Lost     // when the LB's try has failed
	Title    string   // a few words, 42 octets at most
	Diagram  string   // the segments, LB on the left, target on the right; 78 columns, bars under those of the header
	Sequence string   // the sequence in a sentence
	Streams  string   // so, where it is about streams of HTTP/2; "": as Sequence
	Apart    string   // how it is told from its neighbours
	Trigger  string   // what brings it about: unless that is there again, no failures prove no fix
	Decisive string   // which segment is the decisive one, that scripts have the want on
	Views    Views    // what a capture at each place shows
	Cause    string   // the usual cause
	Causes   []string // all that bring it about, the usual ones first
	Fix      string   // what to change
	Servers  []Knob   // settings of the target's software and host
	LBs      []Knob   // settings of the LB
	LBsAfter int64    // how long (ns) connections had been idle for which LBs help; 0: any
	Logs     []LogLine
	// Tells are how the LB's log shows what packets leave open: whose limit it was that the LB gave
	// up at. Nil: they leave nothing open.
	Tells []Knob
	// Gone are settings and commands of the LB and its host for findings that say so
	// (Finding.Gone); nil: they never do.
	Gone []Knob
	// Large are settings of either side for what was lost for its size (Measures.Size); nil: there is no
	// such thing.
	Large []Knob

	// About is what a finding is about.
	About Subject
	// Race: the target closed an idle connection without having seen the request that
	// met its close. Such findings count towards a target's exposure.
	Race bool
	// Crossed: the close and the request crossed, neither side had seen the other's.
	// Reports draw the two as crossing.
	Crossed bool
	// LBKnew: the LB's host had acknowledged the target's close before the LB sent the request.
	LBKnew bool
	// Partial: a part of the answer may have come. What is lost is the rest.
	Partial bool
	// FollowsClose says of which causes of the target's close (Measures.CloseCause) cause
	// and fix are those of the close; of all others they are the rule's own.
	FollowsClose CauseSet
	// AnyProtocol: what it says rests on TCP alone, whatever the two speak. Of other findings
	// about a connection Facts.limit takes back what the protocol does not bear out.
	AnyProtocol bool
	// Queue is what a finding says of the listener's queue, where the target ignored
	// segments of the LB. The kernel of its host, where it can be asked, then says whether
	// a full queue was why.
	Queue QueueSign
	// IfFull is the rule that a finding becomes where other findings or the kernel show
	// that the queue was full. Nil: it stays what it is.
	IfFull *Rule
	// IfLossy is the rule that a finding becomes whose segments got through in the end, where data
	// of accepted connections is being lost, too: the path is to blame then, not the queue. Nil:
	// the rule whose IfFull this one is, if there is one.
	IfLossy *Rule
	// SameFix is the rule whose problem this is too: one queue, one fix. Reports show the
	// findings of both as one problem. Nil: none.
	SameFix *Rule
	// Shared is what many findings have in common that show one outage.
	Shared Sharing
	// IfStopped: a target that has stopped brings it about. Behind the mass close of a target
	// reports show its findings as part of the same problem.
	IfStopped bool
	// Behind are the failures in a load balancer's log that this can be behind. What a log
	// leaves open can be any rule.
	Behind LogFailures
	// Learnt is how the LB learns of the failure, and so when its log may speak of it.
	Learnt Learnt
	// Timer is what reports say about timers where the target's close has no cause that
	// says it.
	Timer TimerNote

	// Probing: a finding of it that is an info is of a probe, by a host that may not have meant the port.
	Probing bool
	// Repeated: Measures.Outstanding is a wait of the LB's. One that occurs twice is a setting,
	// and an error.
	Repeated bool
	// Lasting: of a live target it is reported only where it holds at two reviews in a row, a
	// minute apart. At the end it need not.
	Lasting bool
	// Settle says until when a finding waits for what belongs to it, if that is longer than
	// two seconds behind its decisive segment. May be nil.
	Settle func(*Facts) int64 `json:"-"`
	// advise gives a finding a cause and a fix of its own, by the idle times after which the
	// target answered and after which connections were gone, as that of the finding was; nil: the
	// rule's. May be nil.
	advise func(f *Finding, b idleBounds) *advice
	// Match decides from the facts whether it is this. It is asked when what About names is
	// settled: a connection that has closed, a handshake that was answered in the end, refused
	// or given up, a target at the capture's end and at the reviews of a live analysis. Of a
	// connection or a handshake the first in Rules that matches decides; about a target each is
	// asked, until it has an answer.
	Match func(*Facts) *Finding `json:"-"`
	// Recovered is asked about a connection when a request that had to be sent again is
	// answered in the end. May be nil.
	Recovered func(*Facts) *Finding `json:"-"`
}

// Subject is what a rule is about.
type Subject uint8

// The subjects.
const (
	AboutConnection Subject = iota // one that was established, and mostly a request on it
	AboutHandshake                 // a connection's set-up
	AboutTarget                    // a target as a whole: no stream, no request
)

func (s Subject) String() string { return [...]string{"connection", "handshake", "target"}[s] }

// CauseSet is a set of causes of a target's close.
type CauseSet uint8

// The sets that rules follow.
const (
	NoClose    CauseSet = iota // the target did not close, or why does not matter
	KnownClose                 // all that are known
	AnyClose                   // all
)

// Sharing is what findings have in common that show one outage.
type Sharing uint8

// What they may.
const (
	NotShared        Sharing = iota // each is about its connection
	SharedByListener                // address and port of the target
	SharedByHost                    // its address
)

// QueueSign is what a finding says of the listener's queue.
type QueueSign uint8

// The signs.
const (
	NoQueue     QueueSign = iota
	MaybeFull             // SYNs were ignored, but nothing speaks for a full queue yet
	FullForSYNs           // a SYN was dropped
	FullForACKs           // the final ACK of a handshake was dropped
)

// Ignored reports whether findings of the rule say that the target ignored segments.
func (r *Rule) Ignored() bool { return r.Queue != NoQueue }

// LogFailures is a set of kinds of failure that load balancers log.
type LogFailures uint8

// The kinds.
const (
	LogClosed         LogFailures = 1 << iota // the target closed or reset the connection before its answer
	LogTruncated                              // in the middle of its answer, or right behind it
	LogRefused                                // the target refused the connection
	LogConnectError                           // no connection: refused, reset or unreachable
	LogConnectTimeout                         // no connection in time
	LogReadTimeout                            // no answer in time
	LogClientGone                             // the client went away first
)

// Learnt is how the LB learns that its try has failed.
type Learnt uint8

// The ways.
const (
	ByClose    Learnt = iota // the target's close or reset arrives
	ByOwnClose               // it gives up itself, and closes
	BySilence                // it waits in vain; nothing need be seen of that
)

// TimerNote is what reports say about the timer behind a rule's findings.
type TimerNote struct {
	Head string // "No timer: the listen queue"; "" with TimerPatience, which has its own
	Text string // a sentence; may be empty
	Also TimerMeasure
}

// TimerMeasure is a measure whose median reports add to a TimerNote.
type TimerMeasure uint8

// The measures.
const (
	TimerNone        TimerMeasure = iota
	TimerIdle                     // Measures.Idle: how long the connection had been idle
	TimerOutstanding              // Measures.Outstanding: how long after the request the close came
	TimerPatience                 // Measures.Outstanding is the LB's own limit where it is round
)

// noTimer is the note of rules whose close fits no timer.
var noTimer = TimerNote{
	Head: "No timer that shows",
	Text: "The close fits no idle timeout that could be inferred: look for a restart, a crash or a killed worker.",
	Also: TimerOutstanding,
}

// queueTimer is the note of a full queue.
var queueTimer = TimerNote{
	Head: "No timer: the listen queue",
	Text: "The target accepts connections more slowly than they come, which fills its backlog.",
}

// Lost says when a finding of a rule means that the LB's try has failed: its request,
// or its connection, got no answer.
type Lost uint8

// The values of Lost.
const (
	LostNever Lost = iota
	LostIfGivenUp
	LostAlways
	LostUnlessClientGone
)

func (l Lost) String() string {
	return [...]string{"nothing fails", "it fails if the load balancer gives up", "the try fails", "the try fails, unless its client went away"}[l]
}

// Views are what the same incident looks like at each place of capture.
type Views struct{ Target, LB, Between string }

// Knob is a setting that changes the behaviour.
type Knob struct {
	Software string
	Line     string // as it is written in the configuration
	Note     string // its default, its limits; may be empty
}

// LogLine is what a load balancer's own log says of a failure. None of them tells two
// rules apart for certain: they are where to look, not proof.
type LogLine struct {
	LB     string
	Status string // that the client got, measured or documented; "": the target's, or none
	Text   string // to search for
	Note   string // may be empty
}
