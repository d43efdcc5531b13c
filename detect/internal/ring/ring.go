// Package ring keeps the newest values of a kind.
package ring

import "sort"

// DefaultMax is how many values a ring keeps that is not told otherwise.
const DefaultMax = 4096

// Ring keeps the newest values. The zero value is ready for use.
type Ring[T any] struct {
	Max   int // how many are kept; 0: DefaultMax
	Count int // how many were ever added

	v    []T
	next int // where the oldest is, once it is full
}

// Add adds a value, in the place of the oldest once the ring is full.
func (r *Ring[T]) Add(x T) {
	r.Count++
	most := r.most()
	if n := len(r.v); n < most {
		if n == cap(r.v) { // most rings stay tiny; those that fill get fewer copies than by append, and no room left over
			v := make([]T, n, n+min(most-n, max(3*n, 1))) // slices.Grow would touch all of it
			copy(v, r.v)
			r.v = v
		}
		r.v = append(r.v, x)
		return
	}
	r.v[r.next] = x
	if r.next++; r.next == most { // cheaper than a remainder
		r.next = 0
	}
}

func (r *Ring[T]) most() int {
	if r.Max == 0 {
		return DefaultMax
	}
	return r.Max
}

// full reports whether the next value takes the place of the oldest.
func (r *Ring[T]) full() bool { return len(r.v) == r.most() }

// Len is how many values are kept.
func (r *Ring[T]) Len() int { return len(r.v) }

// All are the values kept, in no order. They are the ring's own.
func (r *Ring[T]) All() []T { return r.v }

// At is the i-th of the values kept, in the order in which they were added.
func (r *Ring[T]) At(i int) *T {
	if i += r.next; i >= len(r.v) {
		i -= len(r.v)
	}
	return &r.v[i]
}

// Newest is the value added last; nil: none was.
func (r *Ring[T]) Newest() *T {
	if len(r.v) == 0 {
		return nil
	}
	return r.At(len(r.v) - 1)
}

// Search is the place, for At, of the first value that is so, as all behind it must be.
func (r *Ring[T]) Search(so func(*T) bool) int {
	return sort.Search(len(r.v), func(i int) bool { return so(r.At(i)) })
}

// Each calls f with every value kept, in no order.
func (r *Ring[T]) Each(f func(*T)) {
	for i := range r.v {
		f(&r.v[i])
	}
}
