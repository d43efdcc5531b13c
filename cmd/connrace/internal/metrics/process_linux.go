package metrics

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
	"time"
)

// platform has what only the system knows of the process. What it does not tell is left out.
func (e *exposition) platform() {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) == nil {
		spent := time.Duration(r.Utime.Nano() + r.Stime.Nano())
		e.only("process_cpu_seconds_total", false, "Total user and system CPU time spent in seconds.", spent.Seconds())
	}
	b, _ := os.ReadFile("/proc/self/statm")
	if f := bytes.Fields(b); len(f) > 1 {
		if pages, err := strconv.ParseUint(string(f[1]), 10, 64); err == nil {
			e.only("process_resident_memory_bytes", true, "Resident memory size in bytes.", float64(pages*uint64(os.Getpagesize())))
		}
	}
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		e.only("process_open_fds", true, "Number of open file descriptors.", float64(len(fds)-1)) // without the directory's own
	}
}
