package detect

import "connrace/tcpstate"

// accepted is when the targets accepted the connections, by Flow.Index; 0: not known. Where only that
// is known since when a connection has been open, that is there with a minus. A Flow has no room for it.
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
		return max((*a)[i], 0)
	}
	return 0
}

// since is from when on the connection is known to have been open; 0: it is not known.
func (a *accepted) since(f *tcpstate.Flow) int64 {
	if i := int(f.Index()); i < len(*a) {
		return max((*a)[i], -(*a)[i])
	}
	return 0
}

func (a *accepted) shift(by int64) {
	for i, at := range *a {
		switch {
		case at > 0:
			(*a)[i] = at + by
		case at < 0:
			(*a)[i] = at - by
		}
	}
}
