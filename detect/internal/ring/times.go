package ring

import "slices"

// A Moment is when something happened, and to what.
type Moment struct {
	At int64
	Of uint32
}

// Times keeps the latest moments of a kind in their order, to be asked about any span of time:
// in an outage every event asks. The zero value is ready for use.
type Times struct {
	Max int // how many are kept; 0: DefaultMax

	v []Moment // the earliest first, some more than are kept
}

// Add adds a moment, mostly the latest one.
func (t *Times) Add(at int64, of uint32) {
	room := t.most() + t.most()/4 + 1
	if n := len(t.v); n == room { // not each time, for all are moved
		t.v = t.v[:copy(t.v, t.All())]
	} else if n == cap(t.v) { // as a Ring grows
		t.v = slices.Grow(t.v, min(room-n, max(3*n, 1)))
	}
	t.v = slices.Insert(t.v, t.after(at), Moment{at, of})
}

// after is the place of the first moment that is later than a time.
func (t *Times) after(at int64) int {
	if n := len(t.v); n == 0 || t.v[n-1].At <= at {
		return n
	}
	i, _ := slices.BinarySearchFunc(t.v, at, func(m Moment, at int64) int {
		if m.At <= at {
			return -1
		}
		return 1
	})
	return i
}

// All are the moments kept, the earliest first. They are the ring's own.
func (t *Times) All() []Moment { return t.v[max(len(t.v)-t.most(), 0):] }

func (t *Times) most() int {
	if t.Max == 0 {
		return DefaultMax
	}
	return t.Max
}

// Between are those of the moments kept that lie between two times or at them.
func (t *Times) Between(from, to int64) []Moment {
	end := t.after(to)
	begin := max(t.after(from-1), len(t.v)-t.most())
	return t.v[min(begin, end):end]
}

// Shift moves all by a time.
func (t *Times) Shift(by int64) {
	for i := range t.v {
		t.v[i].At += by
	}
}
