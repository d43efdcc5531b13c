package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"connrace/capture"
	"connrace/cmd/connrace/internal/cli"
	"connrace/pcaps"
	"connrace/tcpstate"
)

// bothEnds writes a capture of the corpus as the LB's end shows it, and as the target's does with
// a clock that is 3 s ahead, in two files that follow one another.
func bothEnds(t *testing.T, dir, name string, split int) (files []string) {
	t.Helper()
	s, err := pcaps.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	near, far := s.Moved(false), s.Moved(true)
	far.Capture.Start = far.Capture.Start.Add(3 * time.Second)
	for _, f := range []struct {
		name string
		s    *pcaps.Script
	}{
		{"lb.pcap", near},
		{"target.pcap0", far.Select(func(frame int) bool { return frame < split })},
		{"target.pcap1", far.Select(func(frame int) bool { return frame >= split })},
	} {
		var b bytes.Buffer
		if err := f.s.WritePCAP(&b, pcaps.FileFormat{}); err != nil {
			t.Fatal(err)
		}
		files = append(files, filepath.Join(dir, f.name))
		if err := os.WriteFile(files[len(files)-1], b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// Evidence of joined captures has what both points saw of the connection, by one clock.
func TestJoinedEvidence(t *testing.T) {
	dir := t.TempDir()
	files := bothEnds(t, dir, "crowder", 286)
	out := filepath.Join(dir, "evidence")
	code, _, stderr := after(t, t.Context(), nil, append([]string{"-q", "--evidence", out}, files...)...)
	if code != cli.ExitOK {
		t.Fatal(stderr)
	}
	names, err := filepath.Glob(filepath.Join(out, "*"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	path := names[0]
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	in, err := capture.NewFile(path, bytes.NewReader(data), capture.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	type key struct {
		seq, ack tcpstate.Seq
		flags    tcpstate.Flags
		len      uint32
		src      tcpstate.Endpoint
	}
	var n [2]int
	seen, last, decoder := map[key]int64{}, int64(0), capture.NewDecoder()
	batch := make([]capture.Frame, 64)
	for {
		k, err := in.Read(batch)
		if k == 0 {
			if err != io.EOF {
				t.Error(err)
			}
			break
		}
		for i := range batch[:k] {
			f := &batch[i]
			n[binary.LittleEndian.Uint32(data[f.Offset+8:])]++
			if f.Time < last {
				t.Errorf("frame %d comes before the one before it", f.Number)
			}
			last = f.Time
			for _, s := range decoder.Decode(f, nil) {
				id := key{s.Seq, s.Ack, s.Flags, s.Len, s.Src}
				if first, twice := seen[id]; !twice {
					seen[id] = f.Time
				} else if d := f.Time - first; d < 0 || d > int64(50*time.Millisecond) {
					t.Errorf("frame %d is seen again after %d ns", f.Number, d)
				}
			}
		}
	}
	if n[0] == 0 || n[0] != n[1] || len(seen) != n[0] {
		t.Errorf("%v packets of %d segments", n, len(seen))
	}
	for _, want := range []string{
		"towards the load balancer: lb.pcap", "towards the target: target.pcap0 and 1 more file", "times moved by −3 s to the clock of lb.pcap",
		"in target.pcap0, whose frame numbers comments name, tcp.stream eq 0", "frame 285 of target.pcap0", "frame 3 of target.pcap1",
	} {
		if !bytes.Contains(data, []byte(want)) {
			t.Errorf("nothing says %q", want)
		}
	}
	if tshark, err := exec.LookPath("tshark"); err == nil {
		got, err := exec.Command(tshark, "-r", path, "-Y", `frame.interface_name contains "target.pcap0" && frame.comment contains "fin-request-crossing"`, "-T", "fields", "-e", "tcp.stream").Output()
		if lines := strings.Fields(string(got)); err != nil || len(lines) != 5 || slices.Compact(lines)[0] != "0" {
			t.Errorf("tshark finds %q, %v", lines, err)
		}
	}
}
