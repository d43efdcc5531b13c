package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"connrace/pcaps"
)

// shownSegment is a TCP segment as tshark shows it.
type shownSegment struct {
	frame, stream, flags, seq, ack, length int
	time, src, dst                         string
}

// tsharkShows are the segments that a display filter selects, by their frame.
func tsharkShows(t *testing.T, path, filter string) map[int]shownSegment {
	t.Helper()
	args := []string{"-n", "-r", path, "-Y", "tcp && (" + filter + ")", "-T", "fields", "-E", "occurrence=l"}
	for _, f := range strings.Fields("frame.number tcp.stream tcp.flags tcp.seq_raw tcp.ack_raw tcp.len frame.time_epoch " +
		"ip.src ipv6.src tcp.srcport ip.dst ipv6.dst tcp.dstport") {
		args = append(args, "-e", f)
	}
	cmd := exec.Command("tshark", args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "TZ=UTC")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd, err)
	}
	all := map[int]shownSegment{}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		n := func(i int) int {
			v, err := strconv.ParseInt(f[i], 0, 64)
			if err != nil {
				t.Fatal(err, line)
			}
			return int(v)
		}
		end := func(i int) string { return net.JoinHostPort(f[i]+f[i+1], f[i+2]) }
		all[n(0)] = shownSegment{n(0), n(1), n(2), n(3), n(4), n(5), f[6], end(7), end(10)}
	}
	return all
}

// shownFinding is a finding of a JSON report.
type shownFinding struct {
	Rule     string
	LB       *string
	Target   string
	Exact    *bool  `json:"stream_exact"`
	Filter   string `json:"display_filter"`
	Evidence []struct {
		Stream, Frame, Seq, Ack, Len int
		Time                         time.Time
		From, Flags, Role            string
	}
}

// TestTsharkShows: the display filter of a finding selects in tshark exactly the streams
// that its evidence names, and there each frame is the segment that the evidence says.
func TestTsharkShows(t *testing.T) {
	if testing.Short() {
		t.Skip("runs tshark")
	}
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip("needs tshark")
	}
	files := map[string][]byte{}
	for _, name := range []string{
		"crowder.pcap", "real/haproxy-go-race.pcapng", "real/nginx-node-race-any.pcap", "real/nginx-node-race-snaplen.pcap",
		"real/nginx-node-race-mid-stream.pcap", "real/nginx-node-race-tls.pcap", "real/nginx-slowaccept-backlog.pcap",
		"real/haproxy-slowaccept-abort.pcap", "real/nginx-node-firewall.pcap", "real/nginx-uwsgi-harakiri.pcap",
	} {
		b, err := pcaps.File(name)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(name, "real/")] = b
	}
	for _, s := range swept(t) {
		switch s.name {
		case "VLAN", "VXLAN", "IPv6", "SLL2", "snoop", "gzip":
			files[s.name] = s.data
		}
	}
	for _, name := range []string{"port-reuse", "stale-connection", "rst-after-fin-active", "syn-dropped-unacknowledged-requests"} {
		s, err := pcaps.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := s.WritePCAP(&b, pcaps.FileFormat{NG: true}); err != nil {
			t.Fatal(err)
		}
		files[name] = b.Bytes()
	}
	dir := t.TempDir()
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := tsharkShows(t, path, "tcp")
			for _, args := range [][]string{nil, {"--max-flows", "2"}} {
				compareShown(t, path, all, args...)
			}
		})
	}
}

// compareShown compares a report on a file with all that tshark shows of it.
func compareShown(t *testing.T, path string, all map[int]shownSegment, args ...string) {
	t.Helper()
	var out, errs bytes.Buffer
	if status := run(t.Context(), append(args, "--format", "json", path), nil, &out, &errs); status != 0 {
		t.Fatal(errs.String())
	}
	var doc struct{ Findings []shownFinding }
	if err := json.Unmarshal(out.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Findings) == 0 && args == nil {
		t.Fatal("no findings")
	}
	filters := map[string]bool{} // by kind: each kind is tried a few times
	tried := map[string]int{}
	for _, f := range doc.Findings {
		exact := f.Exact == nil || *f.Exact
		frames := []int{}
		streams := []int{}
		for _, e := range f.Evidence {
			s, ok := all[e.Frame]
			if !ok {
				t.Errorf("%v %s: tshark has no segment in frame %d", args, f.Rule, e.Frame)
				continue
			}
			frames, streams = append(frames, e.Frame), append(streams, s.stream)
			if s.stream != e.Stream && exact {
				t.Errorf("%v %s frame %d: stream %d, tshark %d", args, f.Rule, e.Frame, e.Stream, s.stream)
			}
			if at := fmt.Sprintf("%d.%09d", e.Time.Unix(), e.Time.Nanosecond()); at != s.time {
				t.Errorf("%s frame %d: at %s, tshark %s", f.Rule, e.Frame, at, s.time)
			}
			if got := flagBits(e.Flags); got != s.flags&0x1f {
				t.Errorf("%s frame %d: flags %s, tshark %#x", f.Rule, e.Frame, e.Flags, s.flags)
			}
			if off := int(uint32(e.Seq - s.seq)); off+e.Len != s.length || e.Ack != s.ack {
				t.Errorf("%s frame %d: %d:+%d ack %d, tshark %d:+%d ack %d", f.Rule, e.Frame, e.Seq, e.Len, e.Ack, s.seq, s.length, s.ack)
			}
			if end := map[string]string{"lb": s.dst, "target": s.src}[e.From]; end != f.Target {
				t.Errorf("%s frame %d: from %s, tshark %s to %s, target %s", f.Rule, e.Frame, e.From, s.src, s.dst, f.Target)
			}
		}
		if kind := fmt.Sprint(f.Rule, exact); f.Filter == "" || filters[f.Filter] || tried[kind] == 2 {
			continue
		} else {
			filters[f.Filter] = true
			tried[kind]++
		}
		want := []int{}
		for _, s := range all {
			ends := []string{s.src, s.dst}
			if exact && slices.Contains(streams, s.stream) || !exact && (slices.Contains(frames, s.frame) ||
				f.LB != nil && slices.Contains(ends, *f.LB) && slices.Contains(ends, f.Target)) {
				want = append(want, s.frame)
			}
		}
		got := []int{}
		for n := range tsharkShows(t, path, f.Filter) {
			got = append(got, n)
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%v %s: %s selects %v, want %v", args, f.Rule, f.Filter, got, want)
		}
	}
}

// flagBits are the flags that tcpdump writes so.
func flagBits(s string) (bits int) {
	for _, c := range s {
		bits |= map[rune]int{'F': 1, 'S': 2, 'R': 4, 'P': 8, '.': 16}[c]
	}
	return bits
}
