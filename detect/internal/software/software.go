// Package software tells from the heads of HTTP messages which server or load balancer
// wrote them. It would rather say nothing than be wrong: a head that is cut off, that came
// through another program or that two programs may have written names nobody.
//
// What it says is made of its own words, of a version's digits at most from the head: the
// peer's octets are never passed on.
package software

// Software is what an end of connections is.
type Software struct {
	Name  string // as settings for it are listed under
	Basis string // from what that is known
	// Likely says that others, which are met far less often, may show the same basis.
	Likely bool
}

// Purges reports whether it has no idle timeout for the connections to its targets, and closes some of
// those that it did not need now and then.
func (s *Software) Purges() bool { return s != nil && s.Name == "HAProxy" }

// Other says that a message names software which is not listed here.
var Other = Software{Name: "other"}

// Nameless says that an answer, which came through nobody else, has no Server field.
var Nameless = Software{Basis: "no Server field"}

// unlike is Other of an answer whose head none of naming begins so, not even with what it passes on.
var unlike = Software{Name: Other.Name, Basis: "another form"}

// naming are servers that put their name into each answer, and cannot be told not to without a module or a
// change of their own.
var naming = []string{"gunicorn", "Apache"}

// Opinion is what the messages of one end say together. The zero value knows nothing.
type Opinion struct {
	said     Software
	disputed bool // two of them were named
	nameless bool // one is Nameless, or unlike
}

// Add adds what one message says; the zero value says nothing.
func (o *Opinion) Add(s Software) {
	o.nameless = o.nameless || s == Nameless || s == unlike
	switch {
	case s.Name == "" || o.disputed:
	case o.said.Name == "":
		o.said = s
	case o.said.Name != s.Name:
		*o = Opinion{disputed: true, nameless: o.nameless}
	}
}

// Silent reports whether no message has said anything.
func (o *Opinion) Silent() bool { return o.said.Name == "" && !o.disputed }

// Not is the software that would have named itself, and has not.
func (o *Opinion) Not() []string {
	if o.nameless {
		return naming
	}
	return nil
}

// Said is what is known; nil: nothing, or messages contradict each other.
func (o *Opinion) Said() *Software {
	if o.said.Name == "" || o.said.Name == Other.Name {
		return nil
	}
	s := o.said
	return &s
}
