package slab

import (
	"testing"
	"unsafe"
)

// A table is as long as asked for, empty, and from a huge page's size on begins where one does.
func TestMake(t *testing.T) {
	type value [256]byte
	for _, n := range []int{0, 1, huge/256 - 1, huge / 256, huge/256 + 1, 3 * huge / 256} {
		s := Make[value](n)
		if len(s) != n || cap(s) != n {
			t.Errorf("%d values: %d, room for %d", n, len(s), cap(s))
		}
		for i := range s {
			if s[i] != (value{}) {
				t.Fatalf("%d values: %d is not empty", n, i)
			}
			s[i][0], s[i][255] = 1, 1
		}
		if at := uintptr(unsafe.Pointer(unsafe.SliceData(s))); n*256 >= huge && at%huge != 0 {
			t.Errorf("%d values lie at %x", n, at)
		}
	}
}
