package recorder

import (
	"os"

	"golang.org/x/sys/unix"
)

// lock takes a file for the time that it is open; it fails where another process has it.
func lock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }
