//go:build !linux

// Package procs names processes of the host that is watched, on Linux.
package procs

import (
	"errors"
	"fmt"
	"io/fs"

	"connrace/detect"
)

// Command is the helper's command.
const Command = "_processes"

// Main is the helper.
func Main() int { return 2 }

// Helper is the helper as seen by who asks it.
type Helper struct {
	Sees string
	Lost uint64
}

// Open says that there is none.
func Open(string, string, bool) (*Helper, error) {
	return nil, fmt.Errorf("processes are named on Linux only: %w", errors.ErrUnsupported)
}

// Ask asks.
func (*Helper) Ask(qs []detect.HostQuestion) []detect.HostAnswer {
	return make([]detect.HostAnswer, len(qs))
}

// Count asks for Lost alone.
func (*Helper) Count() {}

// Late reports whether it has not answered.
func (*Helper) Late() bool { return false }

// Gone reports whether it does not answer.
func (*Helper) Gone() bool { return false }

// Close ends the helper.
func (*Helper) Close() error { return nil }

func isDenied(err error) bool { return errors.Is(err, fs.ErrPermission) }
