//go:build !linux

package memory

import "math"

// Available is the memory that there is for this process; 0: not known.
func Available() int64 {
	if limit := memoryLimit(); limit != math.MaxInt64 {
		return limit
	}
	return 0
}
