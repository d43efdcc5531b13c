package detect

import "connrace/tcpstate"

// accepted is when the targets accepted the connections, by Flow.Index. Where only that is known since when a
// connection has been open, that is there with a minus. A Flow has no room for it.
type accepted struct {
	known flowSet // the others' times are of connections that had their places before
	times []*[acceptedChunk]int64
}

const acceptedChunk = 1 << 10

func (a *accepted) note(f *tcpstate.Flow, at int64) {
	i := f.Index()
	for int(i/acceptedChunk) >= len(a.times) {
		a.times = append(a.times, new([acceptedChunk]int64))
	}
	a.times[i/acceptedChunk][i%acceptedChunk] = at
	a.known.add(i)
}

// of is what is noted of a connection; 0: nothing.
func (a *accepted) of(f *tcpstate.Flow) int64 {
	if i := f.Index(); a.known.has(i) {
		return a.times[i/acceptedChunk][i%acceptedChunk]
	}
	return 0
}

// forget says that the place has a new connection.
func (a *accepted) forget(f *tcpstate.Flow) { a.known.remove(f.Index()) }

func (a *accepted) at(f *tcpstate.Flow) int64 { return max(a.of(f), 0) }

// since is from when on the connection is known to have been open; 0: it is not known.
func (a *accepted) since(f *tcpstate.Flow) int64 {
	at := a.of(f)
	return max(at, -at)
}

func (a *accepted) shift(by int64) {
	for _, chunk := range a.times {
		for i, at := range chunk {
			switch {
			case at > 0:
				chunk[i] = at + by
			case at < 0:
				chunk[i] = at - by
			}
		}
	}
}
