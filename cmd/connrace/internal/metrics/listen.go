package metrics

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

const (
	unixPrefix  = "unix:"
	maxUnixPath = 100 // sun_path has 108 on Linux, 104 elsewhere
)

// UnixPath is the path of an address that Address has completed; "": it is none of a unix
// socket.
func UnixPath(addr string) string {
	path, is := strings.CutPrefix(addr, unixPrefix)
	if !is {
		return ""
	}
	return path
}

// Listen listens on an address that Address has completed.
func Listen(addr string) (net.Listener, error) {
	var l net.Listener
	var err error
	if path := UnixPath(addr); path != "" {
		l, err = listenUnix(path)
	} else {
		l, err = net.Listen("tcp", addr)
	}
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return l, nil
}

// listenUnix makes a unix socket for its owner and his group; for others the directory may
// hold it out of reach, or let them in by its group. What a run before this one has left
// there makes room, but nothing else does.
func listenUnix(path string) (net.Listener, error) {
	l, err := bindUnix(path)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	if err := stale(path); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return nil, err
	}
	return bindUnix(path)
}

// stale is why what is at a path must stay there; nil: it is an own socket at which nobody
// answers any more.
func stale(path string) error {
	st, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if st.Mode().Type() != fs.ModeSocket {
		return errors.New("is there, and is no socket")
	}
	if !owned(st) {
		return errors.New("is a socket of another user")
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return errors.New("somebody answers there already")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return nil
}
