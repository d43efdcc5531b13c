package detect

// flowSet is a set of connections, by Flow.Index: a bit for each, for a Flow has no room for it, and next to
// nothing of it has left the processor's cache when it is looked at.
type flowSet []uint64

// add reports whether it was not there.
func (s *flowSet) add(i uint32) bool {
	for int(i/64) >= len(*s) {
		*s = append(*s, 0)
	}
	word, bit := &(*s)[i/64], uint64(1)<<(i%64)
	was := *word
	*word |= bit
	return was&bit == 0
}

// remove reports whether it was there.
func (s flowSet) remove(i uint32) bool {
	if !s.has(i) {
		return false
	}
	s[i/64] &^= 1 << (i % 64)
	return true
}

func (s flowSet) has(i uint32) bool { return int(i/64) < len(s) && s[i/64]>>(i%64)&1 != 0 }
