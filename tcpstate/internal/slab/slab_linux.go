package slab

import "syscall"

// ask asks for huge pages. Where it is in vain the memory is as any other.
func ask(b []byte) { _ = syscall.Madvise(b, syscall.MADV_HUGEPAGE) }
