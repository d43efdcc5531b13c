package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// command is a program that reads the capture.
type command struct {
	name    string
	args    []string
	env     []string
	ours    bool // finds what is to be found
	once    bool // takes long
	follows bool // keeps connections, as connrace does, and has no other work than that and its own
}

// Names of commands that the tables look for.
const (
	tcpdump  = "tcpdump -w /dev/null"
	floor    = "floor.c"
	connrace = "connrace"
	alone    = "connrace, one processor"
)

// commands are those to be measured, the slow ones last.
func (b *bench) commands(s *sample) []command {
	file := s.file
	own := []string{filepath.Join(b.dir, "connrace"), "-q", "--format", "json", file}
	if s.unlisted {
		own = append(own, "--rule", "stream-reset") // of which there are none
	}
	scratch := filepath.Join(b.dir, "scratch")
	all := []command{
		{name: "cat", args: []string{"cat", file}},
		{name: tcpdump, args: []string{"tcpdump", "-nn", "-r", file, "-w", "/dev/null"}},
		{name: floor, args: []string{filepath.Join(b.dir, "floor"), file}},
		{name: alone, args: append(slices.Clone(own), "--workers", "1"), ours: true},
		{name: connrace, args: own, ours: true},
	}
	if b.peers {
		all = append(
			all, command{name: "softflowd", args: []string{"softflowd", "-d", "-r", file}, follows: true},
			command{name: "nfpcapd", args: []string{"nfpcapd", "-r", file, "-w", scratch}, follows: true},
			command{name: "argus", args: []string{"argus", "-X", "-r", file, "-w", "/dev/null"}, follows: true},
			command{name: "ndpiReader", args: []string{"ndpiReader", "-q", "-i", file}, follows: true},
			command{name: "suricata, no rules", args: []string{"suricata", "-r", file, "-S", "/dev/null", "-l", scratch, "-k", "none"}, follows: true},
		)
	}
	if b.slow {
		all = append(all,
			command{
				name: "tshark, FIN or RST", once: true,
				args: []string{"tshark", "-n", "-r", file, "-Y", "tcp.flags.reset==1||tcp.flags.fin==1"},
			},
			command{name: "tcptrace", args: []string{"tcptrace", "-n", file}, once: true},
		)
	}
	return all
}

// cost is that of one run.
type cost struct {
	cpu, wall time.Duration // cpu: of user and system
	peak      int64         // resident bytes
}

// result is a command and the medians of its runs.
type result struct {
	command
	cost
}

// measure runs the commands in turn, each round all of them, the slow ones at the end.
func (b *bench) measure(ctx context.Context, s *sample) ([]result, error) {
	var there []command
	for _, c := range b.commands(s) {
		if _, err := exec.LookPath(c.args[0]); err != nil {
			b.note(filepath.Base(c.args[0]) + " is not installed here")
			continue
		}
		there = append(there, c)
	}
	costs, failed := make([][]cost, len(there)), make([]bool, len(there))
	for round := range b.rounds {
		for i, c := range there {
			if failed[i] || c.once && round < b.rounds-1 {
				continue // or its turn comes
			}
			got, err := b.once(ctx, &c, s)
			switch {
			case err == nil:
				costs[i] = append(costs[i], got)
			case c.ours || ctx.Err() != nil:
				return nil, fmt.Errorf("%s: %w", c.name, err)
			default:
				failed[i] = true
				b.note(fmt.Sprintf("%s, %s: %v", s.title(), c.name, err))
			}
		}
	}
	var out []result
	for i, c := range there {
		if len(costs[i]) > 0 {
			out = append(out, result{c, medians(costs[i])})
		}
	}
	return out, nil
}

// once runs a command, and checks what connrace finds.
func (b *bench) once(ctx context.Context, c *command, s *sample) (cost, error) {
	run := ctx
	if c.once {
		b.say("  %s", c.name)
		var cancel context.CancelFunc
		run, cancel = context.WithTimeout(ctx, b.limit)
		defer cancel()
	}
	cmd := exec.CommandContext(run, c.args[0], c.args[1:]...)
	cmd.Dir, cmd.Env = b.dir, append(os.Environ(), c.env...)
	// Files and not pipes: nothing of this process runs beside what is measured.
	stderr, err := os.Create(filepath.Join(b.dir, "stderr"))
	if err != nil {
		return cost{}, err
	}
	defer stderr.Close()
	cmd.Stderr = stderr
	if c.ours {
		stdout, err := os.Create(filepath.Join(b.dir, "stdout"))
		if err != nil {
			return cost{}, err
		}
		defer stdout.Close()
		cmd.Stdout = stdout
	}
	forgetPeak()
	began := time.Now()
	err = cmd.Run()
	got := cost{wall: time.Since(began)}
	switch {
	case ctx.Err() != nil:
		return got, errors.New("interrupted")
	case run.Err() != nil:
		return got, fmt.Errorf("not done after %v", b.limit)
	case err != nil:
		return got, fmt.Errorf("%w: %s", err, lastLine(stderr))
	}
	got.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	got.peak = peakOf(cmd.ProcessState)
	if c.ours {
		err = s.check(filepath.Join(b.dir, "stdout"))
	}
	return got, err
}

// check compares a report with what is to be found: speed without the right answer does
// not count.
func (s *sample) check(report string) error {
	f, err := os.Open(report)
	if err != nil {
		return err
	}
	defer f.Close()
	var got struct {
		Totals struct {
			Frames   int
			Findings map[string]int
		}
	}
	if err := json.NewDecoder(f).Decode(&got); err != nil {
		return fmt.Errorf("its report: %w", err)
	}
	if got.Totals.Frames != s.packets {
		return fmt.Errorf("read %d of %d packets", got.Totals.Frames, s.packets)
	}
	if s.wants == nil {
		return nil
	}
	found := got.Totals.Findings
	maps.DeleteFunc(found, func(_ string, n int) bool { return n == 0 })
	if !maps.Equal(found, s.wants) {
		return fmt.Errorf("wrong findings: %v, want %v", found, s.wants)
	}
	return nil
}

// medians takes each figure's for itself.
func medians(runs []cost) cost {
	return cost{
		cpu:  median(runs, func(c cost) time.Duration { return c.cpu }),
		wall: median(runs, func(c cost) time.Duration { return c.wall }),
		peak: median(runs, func(c cost) int64 { return c.peak }),
	}
}

func median[T cmp.Ordered](runs []cost, of func(cost) T) T {
	var all []T
	for _, c := range runs {
		all = append(all, of(c))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// note remembers what the table does not show.
func (b *bench) note(s string) {
	if !slices.Contains(b.notes, s) {
		b.notes = append(b.notes, s)
	}
}

// lastLine is what a program said last.
func lastLine(f *os.File) []byte {
	end, _ := f.Seek(0, io.SeekEnd)
	buf := make([]byte, min(end, 500))
	n, _ := f.ReadAt(buf, end-int64(len(buf)))
	said := bytes.TrimSpace(buf[:n])
	return said[bytes.LastIndexByte(said, '\n')+1:]
}
