//go:build !linux

package main

import "math"

// availableMemory is the memory that there is for this process; 0: not known.
func availableMemory() int64 {
	if limit := memoryLimit(); limit != math.MaxInt64 {
		return limit
	}
	return 0
}
