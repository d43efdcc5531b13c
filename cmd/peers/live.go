package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// rate is how many packets are sent in a second, for so long.
const (
	rate      = 600_000
	burstTime = 2 // s
)

// watcher is a program that captures from an interface until it is interrupted.
type watcher struct {
	name string
	args []string
	seen func(stdout, stderr string) (captured, dropped int)
}

// watchers are those to be measured.
func (b *bench) watchers(device string) []watcher {
	said := func(captured, dropped string) func(string, string) (int, int) {
		return func(_, stderr string) (int, int) { return number(stderr, captured), number(stderr, dropped) }
	}
	return []watcher{
		{tcpdump, []string{"tcpdump", "-nn", "-Z", "root", "-i", device, "-w", "/dev/null"}, said(`(\d+) packets? captured`, `(\d+) packets? dropped by kernel`)},
		{"dumpcap -w /dev/null", []string{"dumpcap", "-q", "-i", device, "-w", "/dev/null"}, said(`received/dropped on interface .*: (\d+)/`, `received/dropped on interface .*: \d+/(\d+)`)},
		{connrace + " live", []string{filepath.Join(b.dir, connrace), "live", "-q", "-i", device, "--format", "json"}, func(stdout, _ string) (int, int) {
			var r struct {
				Captures []struct{ Frames, Drops int }
			}
			if json.Unmarshal([]byte(stdout), &r) != nil || len(r.Captures) == 0 {
				return 0, 0
			}
			return r.Captures[0].Frames, r.Captures[0].Drops
		}},
	}
}

// number is the number that a pattern finds.
func number(text, pattern string) int {
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// live measures programs that capture the same burst, in a network namespace. It needs root, ip and
// gcc.
func (b *bench) live(ctx context.Context, size float64, w io.Writer) error {
	packets := share(size, rate*burstTime)
	s, err := b.make(ctx, workload{
		name: "small packets", packets: packets, flows: share(size, 10_000), faults: 15, requests: 20, response: "100-200",
	})
	if err != nil {
		return err
	}
	source, burst := filepath.Join(b.dir, "burst.c"), filepath.Join(b.dir, "burst")
	if err := os.WriteFile(source, burstSource, 0o666); err != nil {
		return err
	}
	space := fmt.Sprintf("connrace-peers-%d", os.Getpid())
	defer exec.Command("ip", "netns", "delete", space).Run()
	for _, args := range [][]string{
		{"gcc", "-O2", "-o", burst, source},
		{"ip", "netns", "add", space},
		{"ip", "-n", space, "link", "add", "burst0", "type", "veth", "peer", "name", "burst1"},
		{"ip", "-n", space, "link", "set", "burst0", "up"},
		{"ip", "-n", space, "link", "set", "burst1", "up"},
	} {
		if out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w %s", strings.Join(args, " "), err, out)
		}
	}
	t := newTable("command", "sent in s", "captured", "dropped", "CPU s", "packets per CPU second")
	for _, x := range b.watchers("burst1") {
		if _, err := exec.LookPath(x.args[0]); err != nil {
			b.note(x.args[0] + " is not installed here")
			continue
		}
		cmd := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", space}, x.args...)...)
		var stdout, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Start(); err != nil {
			return err
		}
		time.Sleep(2 * time.Second) // until it captures
		out, err := exec.CommandContext(ctx, "ip", "netns", "exec", space, burst, "burst0", s.file, strconv.Itoa(rate)).CombinedOutput()
		if err != nil {
			return fmt.Errorf("burst: %w %s", err, out)
		}
		time.Sleep(2 * time.Second) // until it has captured it
		cmd.Process.Signal(syscall.SIGINT)
		cmd.Wait() // with the code of an interrupted one
		captured, dropped := x.seen(stdout.String(), stderr.String())
		cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		took := "-"
		if f := strings.Fields(string(out)); len(f) == 2 {
			took = f[1]
		}
		t.row(x.name, took, thousands(captured), thousands(dropped), fmt.Sprintf("%.2f", cpu.Seconds()), thousands(int(float64(captured)/cpu.Seconds())))
		b.say("  %s: sent %s", x.name, strings.TrimSpace(string(out)))
	}
	_, err = io.WriteString(w, t.String())
	return err
}
