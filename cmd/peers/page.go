package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// page measures everything, and writes the page about it.
func (b *bench) page(ctx context.Context, size float64, args []string, w io.Writer) error {
	fmt.Fprintf(w, `# Speed

What connrace costs beside other programs. This page is written by

    go run ./cmd/peers %s

which makes the captures, runs each program %d times in turn, and takes medians. CPU is user and system time of all
threads. What connrace finds is compared with what was put into the captures; a wrong answer ends the run.

%s

`, shown(args), b.rounds, machine(ctx))
	fmt.Fprint(w, `## Beside others

cat only reads, and tcpdump copies. floor.c (`+"`cmd/peers/floor`"+`) is the least that a program can do that follows TCP: it finds the
connection of each packet, follows numbers and heads, and judges nothing. The others keep flows, and judge nothing either. A
row says "yes" where a program took less processor time than connrace on one processor.

`)
	if err := b.compare(ctx, compared(size), w); err != nil {
		return err
	}
	fmt.Fprint(w, `
## In an outage

Captures of one target in trouble beside the same with little that waits: what a packet costs must not grow with what waits.
What 5,000 waiting requests cost, by the packet, is "to the next" times what 5 do.

`)
	b.peers, b.slow = false, false
	const whole = 20 // times as large as the others may be
	if err := b.trouble(ctx, outages(min(1, whole*size)), w); err != nil {
		return err
	}
	fmt.Fprint(w, `
## As trouble grows

Ten times as much of one kind in each capture as in the one before. A further packet is one more than there; what it costs must
not grow but for caches, which become too small, and memory must be bounded. Findings are counted here, and not written.

`)
	if err := b.mounting(ctx, mounting(min(1, whole*size)), w); err != nil {
		return err
	}
	fmt.Fprint(w, `
## Several processors

What a second processor saves (`+"`--workers`"+`). The output is the same, byte for byte. One file that is not compressed is
read and decoded ahead where packets are large; small ones are analysed by one processor, see [architecture.md](architecture.md).

`)
	if err := b.several(ctx, shaped(size), w); err != nil {
		return err
	}
	fmt.Fprint(w, `
## Two captures, joined

What it costs to find the connections that two captures share, and to compare what both show of a failure, beside the two analyses
by themselves.

`)
	if err := b.joining(ctx, shaped(size), w); err != nil {
		return err
	}
	if !b.watch {
		return nil
	}
	fmt.Fprintf(w, `
## Live

A burst of %s packets, at most %s a second, between two interfaces of a network namespace, sent by the same
processors: where these have other work it takes longer.

`, thousands(rate*burstTime), thousands(rate))
	return b.live(ctx, 1, w)
}

// shown are the arguments that make the page, wherever it is made.
func shown(args []string) string {
	var out []string
	for i := 0; i < len(args); i++ {
		switch name := strings.TrimLeft(args[i], "-"); name {
		case "dir":
			i++
		case "write":
			i++
			out = append(out, "-write", "docs/speed.md")
		default:
			out = append(out, args[i])
		}
	}
	return strings.Join(out, " ")
}

// trouble measures pairs of captures.
func (b *bench) trouble(ctx context.Context, all []workload, w io.Writer) error {
	t := newTable("capture", "CPU ns/packet", "to the next", "peak MiB")
	var rows [][]string
	var costs []time.Duration
	err := b.each(ctx, all, func(s *sample, rs []result) {
		own := find(rs, alone)
		rows = append(rows, []string{s.title(), s.perPacket(own.cpu), "", mebibytes(own.peak)})
		costs = append(costs, own.cpu/time.Duration(s.packets))
	})
	if err != nil {
		return err
	}
	for i, r := range rows {
		if i%2 == 0 {
			r[2] = ratio(costs[i], costs[i+1])
		}
		t.row(r...)
	}
	_, err = io.WriteString(w, t.String())
	return err
}

// machine describes the machine and the programs.
func machine(ctx context.Context) string {
	said := []string{fmt.Sprintf("%s/%s, %d processors (%s), %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), processor(), runtime.Version())}
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		busy := strings.Fields(string(load))[0]
		said = append(said, "load average at the start: "+busy)
		if n, err := strconv.ParseFloat(busy, 64); err == nil && n > float64(runtime.NumCPU())/2 {
			said = append(said, "others were at work, so that wall seconds say nothing and CPU time is more than it would be")
		}
	}
	for _, c := range [][]string{{"tcpdump", "--version"}, {"softflowd", "-V"}, {"nfpcapd", "-V"}, {"argus", "-h"}, {"ndpiReader", "-h"}, {"suricata", "-V"}} {
		if _, err := exec.LookPath(c[0]); err != nil {
			continue
		}
		out, _ := exec.CommandContext(ctx, c[0], c[1:]...).CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if line = strings.TrimSpace(line); strings.ContainsAny(line, "0123456789") {
				line, _, _ = strings.Cut(line, ". ") // "This is softflowd version 1.1.0. Valid …"
				said = append(said, strings.TrimPrefix(line, "This is "))
				break
			}
		}
	}
	return "Measured on " + strings.Join(said, "; ") + "."
}

// processor is the processor's name.
func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if name, value, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
