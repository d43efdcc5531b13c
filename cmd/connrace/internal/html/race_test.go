//go:build race

package html

// slowdown is how many times fewer findings a test makes where all takes longer.
const slowdown = 10
