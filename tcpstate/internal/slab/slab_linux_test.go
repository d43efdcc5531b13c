package slab

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

// The kernel is asked for huge pages for large tables, for all of their whole pages.
func TestAsked(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/mm/transparent_hugepage"); err != nil {
		t.Skip("the kernel has no transparent huge pages")
	}
	for _, n := range []int{huge, 3*huge + huge/2} {
		b := Make[byte](n)
		from := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
		for _, at := range []uintptr{from, from + uintptr(n/huge*huge) - 1} {
			if !asked(t, at) {
				t.Errorf("%d octets: not asked for huge pages at %x", n, at)
			}
		}
		clear(b)
	}
}

// asked reports whether huge pages were asked for at an address.
func asked(t *testing.T, at uintptr) bool {
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	here := false
	for line := range strings.Lines(string(maps)) {
		var from, to uintptr
		if n, _ := fmt.Sscanf(line, "%x-%x ", &from, &to); n == 2 {
			here = from <= at && at < to
		} else if flags, ok := strings.CutPrefix(line, "VmFlags:"); ok && here {
			return slices.Contains(strings.Fields(flags), "hg")
		}
	}
	t.Fatalf("no memory at %x", at)
	return false
}
