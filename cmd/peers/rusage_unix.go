//go:build linux || darwin

package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
)

// peakOf is the most memory that a process had resident, in bytes.
func peakOf(p *os.ProcessState) int64 {
	u, ok := p.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	return maxrss(u)
}

// ownPeak is that of this process.
func ownPeak() int64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return maxrss(&u)
}

// forgetPeak makes this process small again, for a child begins with its parent's peak: execve(2) takes that
// over (exec_mmap). Where it cannot be made to forget (only Linux can, clear_refs in proc(5)), a child's may be less than
// is said, which is shown.
func forgetPeak() {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
}

// maxrss: getrusage(2) counts kilobytes, that of Darwin bytes.
func maxrss(u *syscall.Rusage) int64 {
	if runtime.GOOS == "darwin" {
		return int64(u.Maxrss)
	}
	return int64(u.Maxrss) << 10
}

// freeSpace is how many bytes may be written to a directory; false: it is not known.
func freeSpace(dir string) (uint64, bool) {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil {
		return 0, false
	}
	return uint64(s.Bavail) * uint64(s.Bsize), true
}
