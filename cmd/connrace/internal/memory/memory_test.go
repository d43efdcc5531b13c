package memory

import (
	"math"
	"os"
	"runtime"
	"testing"
	"testing/fstest"

	"connrace/tcpstate"
)

func TestMemoryIn(t *testing.T) {
	const gb = 1 << 30
	info := "MemTotal:       8388608 kB\nMemFree:          100000 kB\nMemAvailable:    4194304 kB\n"
	for _, tt := range []struct {
		name  string
		files map[string]string
		limit int64
		want  int64
	}{
		{"nothing known", nil, math.MaxInt64, 0},
		{"available", map[string]string{"proc/meminfo": info}, math.MaxInt64, 4 * gb},
		{"GOMEMLIMIT", map[string]string{"proc/meminfo": info}, gb, gb},
		{"no limit in the group", map[string]string{
			"proc/meminfo": info, "proc/self/cgroup": "0::/user.slice/a\n", "sys/fs/cgroup/cgroup.procs": "", "sys/fs/cgroup/user.slice/a/memory.max": "max\n",
		}, math.MaxInt64, 4 * gb},
		{"the group above", map[string]string{
			"proc/meminfo": info, "proc/self/cgroup": "0::/user.slice/a\n", "sys/fs/cgroup/cgroup.procs": "", "sys/fs/cgroup/user.slice/memory.max": "2147483648\n",
		}, math.MaxInt64, 2 * gb},
		{"a container", map[string]string{
			"proc/meminfo": info, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cgroup.procs": "", "sys/fs/cgroup/memory.max": "1073741824\n",
		}, math.MaxInt64, gb},
		{"the first version", map[string]string{
			"proc/meminfo": info, "proc/self/cgroup": "5:cpu:/x\n4:memory:/docker/1\n0::/\n",
			"sys/fs/cgroup/memory/cgroup.procs":                   "",
			"sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": "1073741824\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, math.MaxInt64, gb},
		{"hidden, but not from the first process", map[string]string{
			"proc/meminfo": info, "proc/self/cgroup": "0::/a\n", "proc/1/root/sys/fs/cgroup/cgroup.procs": "",
			"proc/1/root/sys/fs/cgroup/a/memory.max": "1073741824\n",
		}, math.MaxInt64, gb},
		{"hidden", map[string]string{"proc/meminfo": info, "proc/self/cgroup": "0::/a\n"}, math.MaxInt64, gb / 2},
		{"hidden, but GOMEMLIMIT", map[string]string{"proc/meminfo": info, "proc/self/cgroup": "0::/a\n"}, gb, gb},
		{"hidden, and less is available", map[string]string{"proc/meminfo": "MemAvailable: 1024 kB\n", "proc/self/cgroup": "0::/a\n"}, math.MaxInt64, 1 << 20},
	} {
		root := fstest.MapFS{}
		for name, text := range tt.files {
			root[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := memoryIn(root, tt.limit); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
	if runtime.GOOS == "linux" && Available() < 64<<20 {
		t.Errorf("%d octets available here", Available())
	}
}

func TestFlowsFor(t *testing.T) {
	for memory, want := range map[int64]int{
		0: tcpstate.DefaultMaxFlows, 1: leastFlows, 256 << 20: leastFlows, 12 << 30: 1 << 20, 1 << 50: mostFlows,
	} {
		if got := FlowsFor(memory); got != want {
			t.Errorf("%d octets: %d connections, want %d", memory, got, want)
		}
	}
}

func TestPercentFor(t *testing.T) {
	for live, want := range map[uint64]int{8 << 20: 200, 16 << 20: 100, 32 << 20: 50, 1 << 30: 50} {
		if got := percentFor(live); got != want {
			t.Errorf("%d octets: %d %%, want %d", live, got, want)
		}
	}
}

// Behind each collection the percentage is set for what it left.
func TestCollectLate(t *testing.T) {
	if os.Getenv("GOGC") != "" {
		t.Skip("GOGC is set")
	}
	defer CollectUsually()
	CollectLate()
	runtime.GC()
	for percent := -1; percent != percentFor(figure("/gc/heap/live:bytes")+figure("/gc/scan/globals:bytes")); runtime.Gosched() {
		percent = int(figure("/gc/gogc:percent")) // until the runtime has come to it
	}
}
