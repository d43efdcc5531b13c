package metrics

import (
	"runtime"
	"time"
)

var started = time.Now()

// process has the figures of the process, under the names that Prometheus' own library gives
// them.
func (e *exposition) process() {
	e.only("go_goroutines", true, "Number of goroutines that currently exist.", float64(runtime.NumGoroutine()))
	e.only("process_start_time_seconds", true, "Start time of the process since unix epoch in seconds.", float64(started.UnixMilli())/1000)
	e.platform()
}
