//go:build linux

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"connrace/cmd/connrace/internal/clitest"
)

// BenchmarkLiveProcesses is what it costs to name processes. Two lives watch the same connections at
// the same time, one of them with --processes off: what else the machine does slows both. Of each N
// (-benchtime 20x) it takes 20 s: ten with the one begun first, ten with the other, which gets less
// of a busy machine. It needs root; CONNRACE_BENCH names a program to measure instead of the one
// that is built for tests.
//
//	go build -o connrace ./cmd/connrace && CONNRACE_BENCH=$PWD/connrace go test -run - -bench LiveProcesses -benchtime 6x -v ./cmd/connrace
//
// The metrics: CPU time for each connection without processes, and with them (of that the helper's,
// and that of the programs in the kernel), and the ratio of the two: the median of all pairs.
func BenchmarkLiveProcesses(b *testing.B) {
	for _, rate := range []int{700, 5000} {
		b.Run(fmt.Sprint(rate), func(b *testing.B) { benchProcesses(b, rate) })
	}
}

// spent is CPU time: of live without processes, of live with them, its helper and its programs in
// the kernel.
type spent struct {
	off, live, helper, kernel time.Duration
	conns                     uint64
}

func (s spent) with() time.Duration { return s.live + s.helper + s.kernel }

func (s spent) plus(o spent) spent {
	return spent{s.off + o.off, s.live + o.live, s.helper + o.helper, s.kernel + o.kernel, s.conns + o.conns}
}

func benchProcesses(b *testing.B, rate int) {
	stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
	if err != nil {
		b.Skip("programs in the kernel are not measured here: ", err)
	}
	defer stats.Close()
	n := newNetNS(b)
	n.load(rate)
	var ratios []float64
	var all spent
	for b.Loop() {
		s := benchPair(b, n, true).plus(benchPair(b, n, false))
		ratios = append(ratios, float64(s.with())/float64(s.off))
		all = all.plus(s)
		b.Logf("without %v, with %v + helper %v + kernel %v: %.3f", s.off, s.live, s.helper, s.kernel.Round(time.Microsecond), ratios[len(ratios)-1])
	}
	slices.Sort(ratios)
	per := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(max(all.conns, 1)) }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(all.conns)/float64(2*len(ratios))/benchFor.Seconds(), "conns/s")
	b.ReportMetric(per(all.off), "µs-without/conn")
	b.ReportMetric(per(all.with()), "µs-with/conn")
	b.ReportMetric(per(all.helper), "µs-helper/conn")
	b.ReportMetric(per(all.kernel), "µs-kernel/conn")
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
}

const benchFor = 10 * time.Second

// benchPair lets two lives watch.
func benchPair(b *testing.B, n *netNS, offFirst bool) spent {
	others := benchPrograms()
	start := func(processes string) *process {
		c := connraceCommand(b, "live", "-i", "lo", "--target", "127.0.0.1", "--format", "jsonl", "--processes", processes)
		if program := os.Getenv("CONNRACE_BENCH"); program != "" {
			c.Path = program
		}
		return n.run(c)
	}
	var on, off *process
	if offFirst {
		off = start("off")
		n.watching(1, off)
	}
	on = start("auto")
	n.until("processes are looked for", func() bool { return lookedFor(on) })
	if !strings.Contains(on.stderr.String(), "who closes") {
		b.Skip("no kernel events here: ", on.stderr)
	}
	if !offFirst {
		off = start("off")
	}
	n.watching(2, off, on)
	helper := helperOf(on)
	used := func() (s spent) {
		s = spent{off: cpuOf(off.Process.Pid), live: cpuOf(on.Process.Pid), helper: cpuOf(helper)}
		for id, ran := range benchPrograms() {
			if _, is := others[id]; !is {
				s.kernel += ran
			}
		}
		n.do(func() { s.conns = activeOpens() })
		return s
	}
	time.Sleep(time.Second)
	was := used()
	time.Sleep(benchFor)
	is := used()
	for _, p := range []*process{off, on} {
		p.end(unix.SIGTERM)
		if ls := clitest.Lines(b, p.stdout.String()); len(ls) > 0 && ls[len(ls)-1].Totals.KernelDrops > 0 {
			b.Logf("%d of %d frames were dropped", ls[len(ls)-1].Totals.KernelDrops, ls[len(ls)-1].Totals.Frames)
		}
	}
	return spent{is.off - was.off, is.live - was.live, is.helper - was.helper, is.kernel - was.kernel, is.conns - was.conns}
}

// benchPrograms is for how long connrace's programs in the kernel have run, by their numbers. To
// measure that is a part of it, of some 50 ns for each time that one runs.
func benchPrograms() map[ebpf.ProgramID]time.Duration {
	all := map[ebpf.ProgramID]time.Duration{}
	for id, err := ebpf.ProgramGetNextID(0); err == nil; id, err = ebpf.ProgramGetNextID(id) {
		p, err := ebpf.NewProgramFromID(id)
		if err != nil {
			continue
		}
		if i, err := p.Info(); err == nil && i.Name == "connrace" {
			if s, err := p.Stats(); err == nil {
				all[id] = s.Runtime
			}
		}
		p.Close()
	}
	return all
}

// activeOpens is how many connections have been begun in the network namespace.
func activeOpens() (n uint64) {
	b, _ := os.ReadFile("/proc/thread-self/net/snmp")
	var names []string
	for l := range strings.Lines(string(b)) {
		f := strings.Fields(l)
		if len(f) == 0 || f[0] != "Tcp:" {
			continue
		}
		if names == nil {
			names = f
		} else if i := slices.Index(names, "ActiveOpens"); i > 0 {
			fmt.Sscan(f[i], &n)
		}
	}
	return n
}
