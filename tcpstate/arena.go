package tcpstate

// arena holds values in chunks that never move. A place is taken and given back; while it
// is taken its value is the taker's.
type arena[T any] struct {
	chunks []*[arenaChunk]T
	free   []uint32 // places given back
	made   uint32   // places so far
}

const (
	arenaBits  = 10
	arenaChunk = 1 << arenaBits
)

// at is the value at a place.
func (a *arena[T]) at(i uint32) *T { return &a.chunks[i>>arenaBits][i%arenaChunk] }

// take takes a place. Its value is what was left there.
func (a *arena[T]) take() uint32 {
	if n := len(a.free); n > 0 {
		i := a.free[n-1]
		a.free = a.free[:n-1]
		return i
	}
	if a.made%arenaChunk == 0 {
		a.chunks = append(a.chunks, new([arenaChunk]T))
	}
	a.made++
	return a.made - 1
}

// give gives a place back.
func (a *arena[T]) give(i uint32) { a.free = append(a.free, i) }
