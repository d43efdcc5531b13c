package annotate

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"connrace/capture"
	"connrace/cmd/connrace/internal/outfile"
	"connrace/cmd/connrace/internal/report"
	"connrace/detect"
	"connrace/pcaps"
	"connrace/tcpstate"
)

// script is a capture of the corpus as a file.
func script(t testing.TB, name string, f pcaps.FileFormat) []byte {
	t.Helper()
	s, err := pcaps.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.WritePCAP(&b, f); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t testing.TB, data []byte) *capture.File {
	t.Helper()
	f, err := capture.NewFile("test", bytes.NewReader(data), capture.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// analyse is a report on captures, each on its own.
func analyse(t testing.TB, data ...[]byte) *report.Report {
	t.Helper()
	r := &report.Report{}
	for i, d := range data {
		det := detect.New(detect.Options{Streams: true})
		dec := capture.NewDecoder()
		f := open(t, d)
		batch := make([]capture.Frame, 64)
		var segs []tcpstate.Segment
		det.BeginCapture(0)
		for {
			n, err := f.Read(batch)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for j := range batch[:n] {
				segs = dec.Decode(&batch[j], segs[:0])
				for k := range segs {
					det.Segments(segs[k : k+1])
				}
			}
		}
		a := report.Analysis{Result: det.Finish(), Captures: []int{i}}
		for _, before := range r.Analyses {
			a.FirstID += len(before.Result.Findings)
		}
		r.Analyses = append(r.Analyses, a)
		r.Captures = append(r.Captures, report.Capture{Path: fmt.Sprintf("dir/%c.pcap", 'a'+i), Frames: f.Info().Frames})
	}
	return r
}

// frames are those of a capture, with the comments on each.
func frames(t testing.TB, data []byte) (fs []capture.Frame, comments map[uint64]int) {
	t.Helper()
	comments = map[uint64]int{}
	in := open(t, data)
	batch := make([]capture.Frame, 8)
	for {
		n, err := in.Read(batch)
		if err == io.EOF {
			return fs, comments
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range batch[:n] {
			f.Data = bytes.Clone(f.Data)
			fs = append(fs, f)
			if k := len(fs); k > 1 {
				comments[fs[k-2].Number] = bytes.Count(data[fs[k-2].Offset:f.Offset], []byte("connrace "))
			}
			comments[f.Number] = bytes.Count(data[f.Offset:], []byte("connrace "))
		}
	}
}

// writeCopy is a copy of data with the comments of the report's capture.
func writeCopy(t testing.TB, path string, data []byte, r *report.Report, index int) Comments {
	t.Helper()
	out, err := outfile.Create(path, outfile.Private)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Discard()
	c := For(r, &report.Options{}, index)
	if _, err := Copy(context.Background(), out, open(t, data), math.MaxUint64, c); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCommentsAreOnTheEvidence copies every script of the corpus.
func TestCommentsAreOnTheEvidence(t *testing.T) {
	all, err := pcaps.Corpus()
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range all {
		data := script(t, s.Name, pcaps.FileFormat{NG: i%2 == 0, BigEndian: i%4 < 2, Nano: i%8 < 4})
		r := analyse(t, data)
		path := filepath.Join(t.TempDir(), "copy")
		writeCopy(t, path, data, r, 0)
		dup, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		want := map[uint64]int{}
		for _, f := range r.Analyses[0].Result.Findings {
			for _, e := range f.Evidence {
				want[e.Frame]++
			}
		}
		was, _ := frames(t, data)
		is, got := frames(t, dup)
		maps.DeleteFunc(got, func(_ uint64, n int) bool { return n == 0 })
		if !maps.Equal(got, want) {
			t.Errorf("%s: comments %v, want %v", s.Name, got, want)
		}
		for j := range was {
			is[j].Offset = was[j].Offset
		}
		if !slices.EqualFunc(was, is, func(a, b capture.Frame) bool {
			return a.Number == b.Number && a.Time == b.Time && a.Length == b.Length && a.LinkType == b.LinkType && bytes.Equal(a.Data, b.Data)
		}) {
			t.Errorf("%s: frames differ", s.Name)
		}
	}
}

func TestCommentText(t *testing.T) {
	r := analyse(t, script(t, "crowder", pcaps.FileFormat{}))
	c := For(r, &report.Options{}, 0)
	if got, want := c[285], "connrace fin-request-crossing #1 (certain): fin - FIN: the target had not seen the request; "+
		"request 288, rst 289, lb-fin 290, rst 291"; len(got) != 1 || got[0] != want {
		t.Errorf("got %q", got)
	}
	if c := For(r, &report.Options{Rules: map[string]bool{"port-reuse": true}}, 0); len(c) > 0 {
		t.Errorf("comments of findings that are not shown: %v", c)
	}
	if c := For(r, &report.Options{}, 1); len(c) > 0 {
		t.Errorf("comments for another capture: %v", c)
	}

	f := r.Analyses[0].Result.Findings[0]
	e := &f.Evidence[0]
	e.Note = "\x1b[31m\n\u202e\xff"
	for range 20 {
		f.Evidence = append(f.Evidence, f.Evidence[1])
	}
	got := For(r, &report.Options{}, 0)[285][0]
	if regexp.MustCompile(`[^ -~…]`).MatchString(got) || !strings.HasSuffix(got, ", …") || strings.Count(got, "request 288") != 9 {
		t.Errorf("got %q", got)
	}
}

// exhibits writes the captures of all findings to a directory and reads them.
func exhibits(t testing.TB, snaplen int, data ...[]byte) (r *report.Report, files map[string][]byte, dir string) {
	t.Helper()
	r = analyse(t, data...)
	dir = filepath.Join(t.TempDir(), "made")
	e := NewEvidence(EvidenceOptions{dir, snaplen, outfile.Private}, r, &report.Options{})
	defer e.Close()
	for _, i := range e.Captures() {
		if err := e.Read(context.Background(), i, open(t, data[i]), r.Captures[i].Frames); err != nil {
			t.Fatal(err)
		}
	}
	n, err := e.Finish()
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
	entries, _ := os.ReadDir(dir)
	files = map[string][]byte{}
	for _, x := range entries {
		if files[x.Name()], err = os.ReadFile(filepath.Join(dir, x.Name())); err != nil {
			t.Fatal(err)
		}
	}
	if len(files) != n {
		t.Errorf("%d files, said %d", len(files), n)
	}
	return r, files, dir
}

// TestEvidenceHasTheStreams holds the files against the figures that the tracker keeps of
// every stream.
func TestEvidenceHasTheStreams(t *testing.T) {
	defer func(n int) { maxHeld = n }(maxHeld)
	all, err := pcaps.Corpus()
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range all {
		maxHeld = []int{0, 3000, 16 << 20}[i%3]
		data := script(t, s.Name, pcaps.FileFormat{NG: i%2 == 0})
		r, files, _ := exhibits(t, 0, data, data)
		var want []string
		errors := uint64(0) // ICMP's, which quote a segment and are none; all of one connection
		for i := range s.Packets {
			if s.Packets[i].ICMP != nil {
				errors++
			}
		}
		for k := range r.Analyses {
			a := &r.Analyses[k]
			segments := map[uint32]uint64{}
			for _, x := range a.Result.Streams {
				segments[x.Stream] = x.Segments
			}
			for _, f := range a.Result.Findings {
				if len(f.Evidence) == 0 {
					continue
				}
				n := uint64(0)
				for _, st := range f.Streams() {
					n += segments[st]
				}
				stream := f.Streams()[0]
				if f.HasStream {
					stream = f.Stream
				}
				name := fmt.Sprintf("%04d-%s-%d.pcapng", a.FirstID+f.ID, f.Rule.ID, stream)
				want = append(want, name)
				got, comments := frames(t, files[name])
				marked := 0
				for _, c := range comments {
					if c > 0 {
						marked++
					}
				}
				distinct := map[uint64]bool{}
				for _, e := range f.Evidence {
					distinct[e.Frame] = true
				}
				if x := uint64(len(got)); x != n && x != n+errors || marked != len(distinct) {
					t.Errorf("%s: %s has %d frames, %d with comments; want %d, %d", s.Name, name, len(got), marked, n, len(distinct))
				}
			}
		}
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, want) {
			t.Errorf("%s: files %v, want %v", s.Name, got, want)
		}
	}
}

func TestEvidenceFile(t *testing.T) {
	data := script(t, "crowder", pcaps.FileFormat{})
	_, whole, _ := exhibits(t, 0, data)
	_, cut, _ := exhibits(t, 60, data)
	const name = "0001-fin-request-crossing-0.pcapng"
	a, _ := frames(t, whole[name])
	b, _ := frames(t, cut[name])
	if len(a) != len(b) || len(a) == 0 {
		t.Fatal(len(a), len(b))
	}
	for i := range a {
		if !bytes.Equal(b[i].Data, a[i].Data[:min(60, len(a[i].Data))]) || a[i].Length != b[i].Length || a[i].Time != b[i].Time {
			t.Fatalf("%+v\n%+v", a[i], b[i])
		}
	}
	for _, text := range []string{
		"connrace finding #1: fin-request-crossing (error, certain): ", "cause: ", "fix: ",
		"from a.pcap, whose frame numbers these are: tcp.stream eq 0", "; frame 285 of a.pcap",
	} {
		if !bytes.Contains(whole[name], []byte(text)) {
			t.Errorf("%q is missing", text)
		}
	}

	r := analyse(t, data)
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o600)
	e := NewEvidence(EvidenceOptions{file, 0, outfile.Private}, r, &report.Options{})
	if err := e.Read(context.Background(), 0, open(t, data), 1000); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Finish(); err == nil {
		t.Error("no error for a directory that is a file")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := e.Read(ctx, 0, open(t, data), 1000); err != context.Canceled {
		t.Errorf("got %v", err)
	}
	out, err := outfile.Create(file, outfile.Private)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Discard()
	if _, err := Copy(ctx, out, open(t, data), 1000, nil); err != context.Canceled {
		t.Errorf("got %v", err)
	}
}

// TestWiresharkAgrees lets Wireshark's tools read what is written.
func TestWiresharkAgrees(t *testing.T) {
	if testing.Short() {
		t.Skip("runs tshark")
	}
	for _, tool := range []string{"tshark", "capinfos", "mergecap", "editcap"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs " + tool)
		}
	}
	run := func(name string, args ...string) string {
		t.Helper()
		var stderr bytes.Buffer
		c := exec.Command(name, args...)
		c.Stderr = &stderr
		out, err := c.Output()
		if err != nil {
			t.Fatalf("%v: %v\n%s", c, err, &stderr)
		}
		return string(out)
	}
	for _, x := range []struct {
		name string
		f    pcaps.FileFormat
	}{
		{"crowder", pcaps.FileFormat{Nano: true, BigEndian: true}},
		{"syn-dropped", pcaps.FileFormat{NG: true, BigEndian: true}},
		{"fin-request-crossing-sll2", pcaps.FileFormat{NG: true, Nano: true}},
	} {
		data := script(t, x.name, x.f)
		r, files, dir := exhibits(t, 0, data)
		original, dup := filepath.Join(dir, "original"), filepath.Join(dir, "copy")
		if err := os.WriteFile(original, data, 0o600); err != nil {
			t.Fatal(err)
		}
		comments := writeCopy(t, dup, data, r, 0)

		fields := func(path string, args ...string) string {
			return run("tshark", append([]string{
				"-n", "-r", path, "-T", "fields",
				"-e", "frame.number", "-e", "frame.time_epoch", "-e", "frame.len", "-e", "frame.cap_len", "-e", "tcp.stream",
			}, args...)...)
		}
		if a, b := fields(original), fields(dup); a != b || len(a) == 0 {
			t.Errorf("%s: %s\nbecame %s", x.name, a, b)
		}
		infos := func(path string) string {
			_, s, _ := strings.Cut(run("capinfos", "-c", "-d", "-a", "-e", "-u", "-E", path), "\n")
			return s
		}
		if a, b := infos(original), infos(dup); a != b || len(a) == 0 {
			t.Errorf("%s: %s\nbecame %s", x.name, a, b)
		}
		want := ""
		for _, n := range slices.Sorted(maps.Keys(comments)) {
			want += fmt.Sprintf("%d\t%s\n", n, strings.Join(comments[n], "|"))
		}
		got := run("tshark", "-n", "-r", dup, "-Y", "frame.comment", "-T", "fields", "-E", "aggregator=|", "-e", "frame.number", "-e", "frame.comment")
		if got != want || want == "" {
			t.Errorf("%s: comments\n%s, want\n%s", x.name, got, want)
		}
		run("editcap", dup, os.DevNull)
		run("mergecap", "-w", os.DevNull, dup, original)
		for name := range files {
			var f *detect.Finding
			for _, g := range r.Analyses[0].Result.Findings {
				if strings.HasPrefix(name, fmt.Sprintf("%04d-", g.ID)) {
					f = g
				}
			}
			columns := []string{"-T", "fields", "-e", "frame.time_epoch", "-e", "frame.len", "-e", "tcp.seq_raw"}
			a := run("tshark", append([]string{"-n", "-r", original, "-Y", f.DisplayFilter()}, columns...)...)
			b := run("tshark", append([]string{"-n", "-r", filepath.Join(dir, name)}, columns...)...)
			if a != b || a == "" {
				t.Errorf("%s: %s: %s\nbecame %s", x.name, name, a, b)
			}
		}
	}
}
