package lblog

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

// An entry that is kept does not keep its line, nor a record of all that the line has.
func TestDetach(t *testing.T) {
	const n = 500
	inUse := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	line := `{"time":"2026-11-20T19:38:48Z","method":"GET","path":"/x","status":502,"request_time":0.1,"request_id":"0123456789abcdef","agent":"` + strings.Repeat("x", 9000) + `"}`
	var kept []*Entry
	before := inUse()
	for range n {
		e, _ := kinds[NginxJSON].parse(strings.Clone(line), time.UTC)
		e.detach()
		kept = append(kept, e)
	}
	if each := (inUse() - before) / n; each > 1000 || len(kept[0].Words) != 1 {
		t.Errorf("%d octets for each entry, with %q", each, kept[0].Words)
	}
	runtime.KeepAlive(kept)
}
