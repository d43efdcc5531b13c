package detect

// Rule is one kind of failure: what it is called, what it looks like on the wire, why
// it happens and what to change. Its match function reads the facts of a connection.
//
// The texts are the only source of what `connrace explain`, the reports and the
// README say about a rule.
type Rule struct {
	ID       string   // stable: flag value, JSON value, fixture and file name
	Severity Severity // the gravest that it reports
	Mildest  Severity // the mildest that it reports
	Lost     Lost     // when the LB's try has failed
	Title    string   // a few words
	Diagram  string   // the segments, LB on the left, target on the right
	Sequence string   // the sequence in a sentence
	Apart    string   // how it is told from its neighbours
	Views    Views    // what a capture at each place shows
	Cause    string   // the usual cause
	Causes   []string // all that bring it about, the usual ones first
	Fix      string   // what to change
	Servers  []Knob   // settings of the target's software and host
	LBs      []Knob   // settings of the LB
	Logs     []LogLine
	match    func(*conn) *Finding
}

// Lost says when a finding of a rule means that the LB's try has failed: its request,
// or its connection, got no answer.
type Lost uint8

// The values of Lost.
const (
	LostNever Lost = iota
	LostIfGivenUp
	LostAlways
)

func (l Lost) String() string {
	return [...]string{"no request is lost", "lost if the LB gives up", "the request is lost"}[l]
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
