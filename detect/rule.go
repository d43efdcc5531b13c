package detect

// Rule is one kind of failure: what it is called, what it looks like on the wire, why
// it happens and what to change. Its match function reads the facts of a connection.
type Rule struct {
	ID       string   // stable: flag value, JSON value, fixture and file name
	Severity Severity // the gravest that it reports
	Title    string   // a few words
	Diagram  string   // the segments, LB on the left, target on the right
	Sequence string   // the sequence in a sentence
	Apart    string   // how it is told from its neighbours
	Cause    string   // the usual cause
	Fix      string   // what to change
	match    func(*conn) *Finding
}
