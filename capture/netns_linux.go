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

// inNetNS runs f in the network namespace ns: a process id, a path or a name as of
// ip-netns(8); "" is the one that the process is in. f's goroutine must not change
// threads, so it is one of its own; what f opens belongs to the namespace from then on.
func inNetNS(ns string, f func() error) error {
	if ns == "" {
		return f()
	}
	path := netNSPath(ns)
	there, err := os.Open(path)
	if err != nil {
		return netNSError(ns, err)
	}
	defer there.Close()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- enterNetNS(ns, there, f)
	}()
	return <-done
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
