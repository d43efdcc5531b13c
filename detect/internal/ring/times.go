package ring

import "slices"

// A Moment is when something happened, and to what.
type Moment struct {
	At int64
	Of uint32
}

// Times are the newest moments of a kind, to be asked about spans of time: in an outage every
// event asks. They come nearly in their order. The zero value is ready for use.
type Times struct {
	Max int // how many are kept; 0: DefaultMax

	newest  Ring[Moment]
	ordered []Moment // the same, the earliest first, behind begin
	begin   int
}

// Add adds a moment, in the place of the one added first once there are so many.
func (t *Times) Add(at int64, of uint32) {
	t.newest.Max = t.Max
	if t.newest.full() {
		t.remove(*t.newest.At(0))
	}
	m := Moment{at, of}
	t.newest.Add(m)
	if n := len(t.ordered); n == cap(t.ordered) && t.begin > n/4 { // not each time, for all are moved
		t.ordered = t.ordered[:copy(t.ordered, t.ordered[t.begin:])]
		t.begin = 0
	}
	t.ordered = slices.Insert(t.ordered, t.after(at), m)
}

func (t *Times) remove(m Moment) {
	i := t.after(m.At - 1)
	for t.ordered[i] != m {
		i++ // of several at one time
	}
	if i == t.begin {
		t.begin++
	} else {
		t.ordered = slices.Delete(t.ordered, i, i+1)
	}
}

// after is the place of the first moment that is later than a time.
func (t *Times) after(at int64) int {
	if n := len(t.ordered); n == t.begin || t.ordered[n-1].At <= at {
		return n
	}
	i, _ := slices.BinarySearchFunc(t.ordered[t.begin:], at, func(m Moment, at int64) int {
		if m.At <= at {
			return -1
		}
		return 1
	})
	return t.begin + i
}

// Between are the moments kept that lie between two times or at them, the earliest first.
func (t *Times) Between(from, to int64) []Moment {
	i, end := t.after(from-1), t.after(to)
	return t.ordered[min(i, end):end]
}

// Shift moves all by a time.
func (t *Times) Shift(by int64) {
	t.newest.Each(func(m *Moment) { m.At += by })
	for i := range t.ordered {
		t.ordered[i].At += by
	}
}
