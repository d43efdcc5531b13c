package procs

import (
	"hash/maphash"
	"iter"
)

// recent holds what came last of a kind, by a key, and never more than so many of them: the oldest
// one goes for the newest. Those that have one hash are a chain, from the newest to the oldest.
type recent[K comparable, V any] struct {
	most   int // that are held, a power of two
	all    []entry[K, V]
	count  uint64   // how many ever came; they are numbered from 1
	newest []uint64 // the number of the newest of each hash
}

// entry is a value, when that was, and the number of the one before it that has its hash.
type entry[K comparable, V any] struct {
	key    K
	v      V
	time   int64
	before uint64
}

var seed = maphash.MakeSeed()

func (r *recent[K, V]) hash(k K) uint64 { return maphash.Comparable(seed, k) & uint64(r.most-1) }

// put notes a value. It reports whether one had to go that may still be needed.
func (r *recent[K, V]) put(k K, v V, time int64) (lost bool) {
	if r.newest == nil {
		r.newest = make([]uint64, r.most)
	}
	if r.shift(k, v, time) {
		return false
	}
	if r.count++; len(r.all) < r.most {
		if len(r.all) == cap(r.all) { // most kinds are rare; what append leaves room for is much
			grown := make([]entry[K, V], len(r.all), min(r.most, max(2*len(r.all), 16)))
			copy(grown, r.all)
			r.all = grown
		}
		r.all = r.all[:len(r.all)+1]
	}
	h := r.hash(k)
	e := r.at(r.count)
	lost = e.time != 0 && time-e.time < eventsNeeded
	*e = entry[K, V]{k, v, time, r.newest[h]}
	r.newest[h] = r.count
	return lost
}

// shift puts a value in the place of the newest of its key, and that in the place of the one before,
// if there are as many as one key may have: what is told of one connection again and again shall not
// be in the way of others.
func (r *recent[K, V]) shift(k K, v V, time int64) bool {
	var all []*entry[K, V]
	for e := range r.chain(k) {
		if all = append(all, e); len(all) == maxOfKey {
			for i := len(all) - 1; i > 0; i-- {
				all[i].v, all[i].time = all[i-1].v, all[i-1].time
			}
			all[0].v, all[0].time = v, time
			return true
		}
	}
	return false
}

// at is where the value of a number is, or was.
func (r *recent[K, V]) at(n uint64) *entry[K, V] { return &r.all[(n-1)&uint64(r.most-1)] }

// chain are the entries of a key, the newest first.
func (r *recent[K, V]) chain(k K) iter.Seq[*entry[K, V]] {
	return func(yield func(*entry[K, V]) bool) {
		if r.newest == nil {
			return
		}
		for n := r.newest[r.hash(k)]; n > 0 && n+uint64(len(r.all)) > r.count; {
			e := r.at(n)
			if n = e.before; e.key == k && !yield(e) {
				return
			}
		}
	}
}

// each are the values of a key and when they were, the newest first.
func (r *recent[K, V]) each(k K) iter.Seq2[int64, V] {
	return func(yield func(int64, V) bool) {
		for e := range r.chain(k) {
			if !yield(e.time, e.v) {
				return
			}
		}
	}
}

// last is the newest value of a key, and when that was; 0: there is none.
func (r *recent[K, V]) last(k K) (v V, time int64) {
	for time, v := range r.each(k) {
		return v, time
	}
	return v, 0
}
