package detect

// reached are the sizes of the largest segments that are known to have arrived, for each of the
// last seconds.
type reached [32]struct{ second, size uint32 }

// add notes that a segment arrived that was sent at that time, be it not the newest.
func (r *reached) add(at int64, size uint32) {
	s := uint32(at / second)
	b := &r[s%uint32(len(r))]
	if b.second > s {
		return // that was long ago
	}
	if b.second != s {
		b.second, b.size = s, 0
	}
	b.size = max(b.size, size)
}

// largest is the size of the largest between two times, or a little before; 0: none is known.
func (r *reached) largest(from, to int64) (size uint32) {
	a, b := uint32(from/second), uint32(to/second)
	if b < a {
		return 0
	}
	for i := range r {
		if s := &r[i]; s.second-a <= b-a {
			size = max(size, s.size)
		}
	}
	return size
}
