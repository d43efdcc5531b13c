// Package memory says how much memory there is for this process, how many connections fit
// into it, and when garbage is collected.
package memory

import (
	"io/fs"
	"math"
	"os"
	"path"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"

	"connrace/tcpstate"
)

// Bounds of --max-flows where it is not given.
const (
	leastFlows = 1 << 16
	mostFlows  = 4 << 20
)

// FlowsFor is how many connections a quarter of so much memory holds, be they all being
// set up, as in a SYN flood; 0: it is not known how much there is.
func FlowsFor(memory int64) int {
	if memory <= 0 {
		return tcpstate.DefaultMaxFlows
	}
	return int(min(max(memory/4/tcpstate.FlowCost, leastFlows), mostFlows))
}

// smallHeap is what is not worth collecting: there is next to no garbage in it, and the
// tables of gopacket's layers alone, 5 MB, take 4 ms to mark.
const smallHeap = 16 << 20

// usualGC is the percentage of garbage at which a heap is collected: memory goes before
// speed, for what is in use is mostly tables, without a pointer to follow.
const usualGC = 50

// late is whether a heap may grow by smallHeap before it is collected. Who sets the percentage holds the lock: cleanups have a
// goroutine of their own.
var late struct {
	sync.Mutex
	on bool
}

// CollectLate lets the heap grow by smallHeap before each collection, be that more than usualGC of it. GOGC goes before that.
func CollectLate() {
	const least = 4 << 20 // the heap at which Go begins, with a percentage of 100
	if os.Getenv("GOGC") == "" {
		setPercent(true, smallHeap*100/least)
		afterNext()
	}
}

// afterNext sets the percentage for the heap as it is behind the next collection.
func afterNext() {
	runtime.AddCleanup(new([64]byte), func(struct{}) {
		late.Lock()
		defer late.Unlock()
		if late.on {
			live := figure("/gc/heap/live:bytes") + figure("/gc/scan/globals:bytes")
			debug.SetGCPercent(percentFor(live))
			afterNext()
		}
	}, struct{}{})
}

// percentFor is the percentage at which what is in use, with what is searched for pointers into it, grows by smallHeap, or by usualGC
// if that is more.
func percentFor(live uint64) int { return int(max(usualGC, smallHeap*100/max(live, 1))) }

// CollectUsually lets garbage be collected as early as a process needs that runs for weeks.
func CollectUsually() {
	if os.Getenv("GOGC") == "" {
		setPercent(false, usualGC)
	}
}

func setPercent(on bool, percent int) {
	late.Lock()
	defer late.Unlock()
	late.on = on
	debug.SetGCPercent(percent)
}

// CollectLarge collects the heap now unless it is small, and hardly larger.
func CollectLarge() {
	if figure("/memory/classes/heap/objects:bytes") > 2*smallHeap { // garbage included
		runtime.GC()
	}
}

// figure is one of the runtime's, in octets.
func figure(name string) uint64 {
	s := []metrics.Sample{{Name: name}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// memoryLimit is what GOMEMLIMIT says.
func memoryLimit() int64 { return debug.SetMemoryLimit(-1) }

// unknownLimit is what is taken for the limit of a control group that hides it.
const unknownLimit = 512 << 20

// memoryIn is the memory that a Linux with the given root directory has for this process:
// what is available, or what its control groups or the limit allow if that is less. 0: it
// does not say.
func memoryIn(root fs.FS, limit int64) int64 {
	least := int64(math.MaxInt64)
	take := func(n int64) {
		if n > 0 {
			least = min(least, n)
		}
	}
	take(limit)
	take(meminfo(root, "MemAvailable:"))
	if allowed, said := groupMemory(root); said {
		take(allowed)
	} else if limit == math.MaxInt64 { // nobody has said otherwise
		take(unknownLimit)
	}
	if least == math.MaxInt64 {
		return 0
	}
	return least
}

// cgroupRoots are where control groups are shown: where everybody looks, and where the first
// process does, for 'ip netns exec' lays a /sys of its own over that, without them. Only root
// may look there.
var cgroupRoots = []string{"sys/fs/cgroup", "proc/1/root/sys/fs/cgroup"}

// groupMemory is the least that the process's control groups allow; 0: no limit. said is
// false where it is in groups, and none of them is to be seen.
func groupMemory(root fs.FS) (least int64, said bool) {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil || len(groups) == 0 {
		return 0, true // a kernel without them
	}
	for _, dir := range cgroupRoots {
		for line := range strings.Lines(string(groups)) {
			_, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
			controllers, group, _ := strings.Cut(rest, ":")
			in, file := dir, "memory.max"
			switch controllers {
			case "":
			case "memory":
				in, file = dir+"/memory", "memory.limit_in_bytes"
			default:
				continue
			}
			// Each group has this file, the topmost, too; where both versions are in use the
			// second, without limits then, is shown elsewhere.
			if _, err := fs.Stat(root, in+"/cgroup.procs"); err != nil {
				continue
			}
			said = true
			for g := path.Join("/", group); ; g = path.Dir(g) {
				if n := number(root, path.Join(in, g, file)); n > 0 && (least == 0 || n < least) {
					least = n
				}
				if g == "/" {
					break
				}
			}
		}
		if said {
			break
		}
	}
	return least, said
}

// meminfo is a figure of /proc/meminfo in bytes; 0: it is not there.
func meminfo(root fs.FS, key string) int64 {
	b, _ := fs.ReadFile(root, "proc/meminfo")
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == key {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n << 10
		}
	}
	return 0
}

// number is the number in a file; 0 where there is none ("max").
func number(root fs.FS, name string) int64 {
	b, _ := fs.ReadFile(root, name)
	n, _ := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return n
}
