// Package slab makes large tables on huge pages, where the system gives them to those who ask. Of a table whose places
// are touched in no order nearly every access misses the processor's list of small pages, and each of these
// costs an interrupt when it is touched first, several times what it takes to clear it.
package slab

import "unsafe"

// huge is the size of a huge page.
const huge = 2 << 20

// Make is make([]T, n). If that is a huge page or more, it asks for such pages, so touching one octet
// may take 2 MB: what is made so should be filled. T holds no pointers, or all of the table is searched for
// them, and its size is a power of two.
func Make[T any](n int) []T {
	size := int(unsafe.Sizeof(*new(T)))
	if n*size < huge {
		return make([]T, n)
	}
	// Go places nothing at such boundaries. What is made in excess is never touched, and takes addresses only.
	all := make([]T, n+huge/size-1)
	before := int(-uintptr(unsafe.Pointer(unsafe.SliceData(all)))%huge) / size
	s := all[before:][:n:n]
	ask(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), n*size/huge*huge))
	return s
}
