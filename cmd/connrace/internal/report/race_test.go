//go:build race

package report

// raced: more memory is taken.
const raced = true
