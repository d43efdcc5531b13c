package detect

import "connrace/tcpstate"

// accepted is when the targets accepted the connections, by Flow.Index; 0: not known. A Flow has no
// room for it, and it is only read when one closes.
type accepted []int64

func (a *accepted) note(f *tcpstate.Flow, at int64) {
	i := int(f.Index())
	for len(*a) <= i {
		*a = append(*a, 0)
	}
	(*a)[i] = at
}

// forget says that the place has a new connection.
func (a *accepted) forget(f *tcpstate.Flow) {
	if i := int(f.Index()); i < len(*a) {
		(*a)[i] = 0
	}
}

func (a *accepted) at(f *tcpstate.Flow) int64 {
	if i := int(f.Index()); i < len(*a) {
		return (*a)[i]
	}
	return 0
}

func (a *accepted) shift(by int64) {
	for i, at := range *a {
		if at != 0 {
			(*a)[i] = at + by
		}
	}
}
