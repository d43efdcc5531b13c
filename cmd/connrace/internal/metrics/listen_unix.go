//go:build unix

package metrics

import (
	"io/fs"
	"net"
	"os"
	"syscall"
)

// bindUnix makes the socket with its mode, which set afterwards, by its name, could come to
// be another file's.
func bindUnix(path string) (net.Listener, error) {
	defer syscall.Umask(syscall.Umask(0o117))
	return net.Listen("unix", path)
}

// owned reports whether a file belongs to the user who runs this.
func owned(st fs.FileInfo) bool {
	s, ok := st.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == os.Geteuid()
}
