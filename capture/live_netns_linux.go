package capture

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// namespace is a network namespace, held open: a process that it was found by may go, and
// its number may become another's. The zero value is the one that the process is in.
type namespace struct {
	name  string // as it was given
	there *os.File
}

// openNetNS opens a namespace: a process id, a path or a name as of ip-netns(8); "" is the
// one that the process is in.
func openNetNS(name string) (n namespace, err error) {
	if name == "" {
		return n, nil
	}
	n.name = name
	if n.there, err = os.Open(netNSPath(name)); err != nil {
		return n, netNSError(name, err)
	}
	return n, nil
}

func (n namespace) close() {
	if n.there != nil {
		n.there.Close()
	}
}

// run runs f in the namespace. f's goroutine must not change threads, so it is one of its
// own; what f opens belongs to the namespace from then on.
func (n namespace) run(f func() error) error {
	if n.there == nil {
		return f()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- enterNetNS(n.name, n.there, f)
	}()
	return <-done
}

// inNetNS opens a namespace for as long as f runs in it.
func inNetNS(name string, f func() error) error {
	n, err := openNetNS(name)
	if err != nil {
		return err
	}
	defer n.close()
	return n.run(f)
}

// enterNetNS runs f in a namespace. It unlocks the thread only if that is back in its own;
// else it ends with the goroutine.
func enterNetNS(ns string, there *os.File, f func() error) error {
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return fmt.Errorf("network namespace: %w", err)
	}
	defer here.Close()
	if sameFile(here, there) {
		runtime.UnlockOSThread()
		return f()
	}
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return netNSError(ns, err)
	}
	err = f()
	if unix.Setns(int(here.Fd()), unix.CLONE_NEWNET) == nil {
		runtime.UnlockOSThread()
	}
	return err
}

func sameFile(a, b *os.File) bool {
	x, errX := a.Stat()
	y, errY := b.Stat()
	return errX == nil && errY == nil && os.SameFile(x, y)
}

func netNSPath(ns string) string {
	switch _, err := strconv.ParseUint(ns, 10, 32); {
	case err == nil:
		return filepath.Join("/proc", ns, "ns/net")
	case strings.ContainsRune(ns, '/'):
		return ns
	}
	return filepath.Join("/run/netns", ns)
}

func netNSError(ns string, err error) error {
	hint := ""
	switch {
	case errors.Is(err, unix.EINVAL):
		hint = ": it is none"
	case errors.Is(err, fs.ErrPermission):
		hint = ": needs root, or CAP_SYS_ADMIN and, for the processes of others, CAP_SYS_PTRACE"
	case errors.Is(err, fs.ErrNotExist):
		hint = ": there is no such process, path or name"
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("network namespace %s: %w%s", ns, err, hint)
}
