//go:build unix

package outfile

import (
	"io/fs"
	"os"
	"syscall"
)

// user is who the program runs as now: that may change when it has begun.
func user() int { return os.Geteuid() }

// Identify tells which file it is; false: the system does not say.
func Identify(st fs.FileInfo) (Identity, bool) {
	s, is := st.Sys().(*syscall.Stat_t)
	if !is {
		return Identity{}, false
	}
	return Identity{Inode: uint64(s.Ino), Links: uint64(s.Nlink), owner: int(s.Uid)}, true
}
