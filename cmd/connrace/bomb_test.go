package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"connrace/pcaps"
)

// again is a text n times.
type again struct {
	unit string
	left int // bytes of all
	at   int
}

func repeat(unit string, n int) io.Reader { return &again{unit: unit, left: n * len(unit)} }

func (a *again) Read(p []byte) (n int, err error) {
	p = p[:min(len(p), a.left)]
	for n < len(p) {
		k := copy(p[n:], a.unit[a.at:])
		a.at = (a.at + k) % len(a.unit)
		n += k
	}
	if a.left -= n; n == 0 {
		err = io.EOF
	}
	return n, err
}

// block is a pcapng block.
func block(kind uint32, body string) string {
	body += strings.Repeat("\x00", -len(body)&3)
	n := uint32(len(body) + 12)
	b := binary.LittleEndian.AppendUint32(nil, kind)
	b = binary.LittleEndian.AppendUint32(b, n)
	b = append(b, body...)
	return string(binary.LittleEndian.AppendUint32(b, n))
}

// packed is what a compressor makes of r, by and by.
func packed(r io.Reader, by func(io.Writer) io.WriteCloser) io.Reader {
	pr, pw := io.Pipe()
	go func() {
		w := by(pw)
		_, err := io.Copy(struct{ io.Writer }{w}, r) // lz4 does not like to read from several
		w.Close()
		pw.CloseWithError(err)
	}()
	return pr
}

func toGzip(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }
func toLZ4(w io.Writer) io.WriteCloser  { return lz4.NewWriter(w) }

func toZstd(w io.Writer) io.WriteCloser {
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(8<<20))
	if err != nil {
		panic(err)
	}
	return z
}

// TestBomb: whatever a file is made of, and however much it claims to hold, it ends in
// bounded memory with a status and a line that says what it was.
func TestBomb(t *testing.T) {
	const mb = 1 << 20
	zeros, many := 64*mb, 50_000
	if raced {
		zeros, many = 8*mb, 5_000
	}
	_, full := floodFrames(t)
	if full {
		zeros, many = 2000*mb, 1_000_000
	}
	zero := strings.Repeat("\x00", mb)
	header := "\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x04\x00\x01\x00\x00\x00"
	section := block(0x0a0d0d0a, "\x4d\x3c\x2b\x1a\x01\x00\x00\x00"+strings.Repeat("\xff", 8))
	ethernet := block(1, "\x01\x00\x00\x00\x00\x00\x00\x00")
	s, err := pcaps.Load("crowder")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.WritePCAP(&b, pcaps.FileFormat{NG: true}); err != nil {
		t.Fatal(err)
	}
	crowder := b.String()
	join := func(head string, r io.Reader, tail ...string) io.Reader {
		return io.MultiReader(strings.NewReader(head), r, strings.NewReader(strings.Join(tail, "")))
	}
	none := strings.NewReader
	for _, c := range []struct {
		name   string
		r      io.Reader
		args   string
		status int
		say    string // what it says, a regular expression
	}{
		{"zeros", repeat(zero, zeros/mb), "", 2, `not a capture file \(starts with 00 00`},
		{"zeros behind a pcap header", join(header, repeat(zero, zeros/mb)), "", 0, `0 findings in [1-9][0-9,]* frames(?s:.*)no TCP segments: [0-9,]* frames truncated-link-header`},
		{"zeros behind a pcap header, resyncing", join(header, repeat(zero, zeros/mb)), "--resync", 0, `damaged: no sane record header \(fraction 0, lengths 0 and 0\) \(frame 1, byte 24\)`},
		{"zeros behind a pcapng section", join(section, repeat(zero, zeros/mb)), "", 0, `damaged: a block of type 0x0 of 0 bytes; it has at least 12 \(frame 1, byte 28\)`},
		{"zeros behind a pcapng section, resyncing", join(section, repeat(zero, zeros/mb)), "--resync", 0, `damaged: `},
		{"zeros behind a snoop header", join("snoop\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x04", repeat(zero, zeros/mb)), "", 0, `damaged: `},
		{"ones behind a snoop header, resyncing", join("snoop\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x04", repeat("\x01", zeros)), "--resync", 0, `damaged: `},
		{"zeros in a capture, resyncing", join(crowder, repeat(zero, zeros/mb), crowder[strings.Index(crowder, "\x06\x00\x00\x00"):]), "--resync", 0, `skipped at 1 damaged place`},
		{"ones behind a pcap header, resyncing", join(header, repeat("\x01", zeros)), "--resync", 0, `damaged: `},
		{"gzip of zeros", packed(repeat(zero, zeros/mb), toGzip), "", 2, `gzip data: not a capture file`},
		{"gzip of zeros behind a header", packed(join(header, repeat(zero, zeros/mb)), toGzip), "", 0, `no TCP segments: [0-9,]* frames truncated-link-header`},
		{"zstd of zeros behind a header", packed(join(header, repeat(zero, zeros/mb)), toZstd), "", 0, `no TCP segments: [0-9,]* frames truncated-link-header`},
		{"lz4 of zeros behind a header", packed(join(header, repeat(zero, zeros/mb)), toLZ4), "", 0, `no TCP segments: [0-9,]* frames truncated-link-header`},
		{"gzip in gzip", packed(packed(join(header, repeat(zero, zeros/mb)), toGzip), toGzip), "", 2, `gzip data: not a capture file \(starts with 1f 8b`},
		{"gzip of nothing again and again", repeat("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00", zeros/100), "", 2, `gzip data: empty`},
		{"gzip with a name without end", join("\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\xff", repeat("a", zeros)), "", 2, `gzip`},
		{"zstd with a window of 2 TB", none("\x28\xb5\x2f\xfd\x00\xf8\x01\x00\x00"), "", 2, `zstd`},
		{"zstd of skippable frames", repeat("\x50\x2a\x4d\x18\x04\x00\x00\x00abcd", zeros/100), "", 2, `zstd`},
		{"zstd of a skippable frame of 4 GB", join("\x50\x2a\x4d\x18\xff\xff\xff\xff", repeat(zero, zeros/mb)), "", 2, `zstd`},
		{"a record of 4 GB", join(header+strings.Repeat("\xff", 16), repeat(zero, zeros/mb)), "", 0, `damaged: a packet of 4294967295 bytes; the limit is 262144`},
		{"a block of 4 GB", join(section+"\x06\x00\x00\x00\xfc\xff\xff\xff", repeat(zero, zeros/mb)), "", 0, `damaged: a block of type 0x6 of 4294967292 bytes`},
		{"a block of 4 GB, resyncing", join(section+ethernet+"\x06\x00\x00\x00\xfc\xff\xff\xff", repeat(zero, zeros/mb), crowder), "--resync", 0, `skipped at 1 damaged place`},
		{"a block of 128 MB", join(section+"\x0a\x00\x00\x00\x00\x00\x00\x08", repeat(zero, 127), zero[12:], "\x00\x00\x00\x08", crowder), "", 0, `1 failed try`},
		{"a section header of 128 MB", join("\x0a\x0d\x0d\x0a\x00\x00\x00\x08\x4d\x3c\x2b\x1a\x01\x00\x00\x00", repeat(zero, 128)), "", 2, `a section header of 134217728 bytes`},
		{"sections", join("", repeat(section+ethernet, many), crowder), "", 0, `1 failed try`},
		{"interfaces", join(section, repeat(ethernet, many), block(6, strings.Repeat("\x00", 20))), "", 0, `no TCP segments`},
		{"interfaces with long names", join(section, repeat(block(1, "\x01\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x10"+strings.Repeat("a", 4096)), many/10)), "", 0, `0 frames`},
		{"names", join(section, repeat(block(4, "\x01\x00\x0c\x00\x0a\x00\x00\x01a.example\x00\x00\x00\x00\x00\x00\x00"), many), crowder), "", 0, `1 failed try`},
		{"secrets", join(section, repeat(block(10, "KSLT\x40\x00\x00\x00"+strings.Repeat("CLIENT_RANDOM 00", 4)), many), crowder), "", 0, `1 failed try`},
		{"statistics", join(section+ethernet, repeat(block(5, strings.Repeat("\x00", 12)+"\x05\x00\x08\x00"+strings.Repeat("\x7f", 8)), many), crowder), "", 0, `1 failed try`},
		{"options without end in a packet", join(section+ethernet, repeat(block(6, strings.Repeat("\x00", 20)+strings.Repeat("\x01\x00\x00\x00", 10_000)), many/100), crowder), "", 0, `1 failed try`},
		{"names, annotated", join(section, repeat(block(4, "\x01\x00\x0c\x00\x0a\x00\x00\x01a.example\x00\x00\x00\x00\x00\x00\x00"), many), crowder), "--annotate OUT/a.pcapng", 0, `1 failed try`},
		{"a block of 128 MB, annotated", join(section+"\x0a\x00\x00\x00\x00\x00\x00\x08", repeat(zero, 127), zero[12:], "\x00\x00\x00\x08", crowder), "--annotate OUT/a.pcapng", 0, `1 failed try`},
		{"interfaces, annotated", join(section, repeat(ethernet, many), crowder), "--annotate OUT/a.pcapng", 0, `1 failed try`},
		{"interfaces, evidence", join(section, repeat(ethernet, many), crowder), "--evidence OUT", 0, `1 failed try`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if raced && strings.Contains(c.name, "128 MB, annotated") {
				t.Skip("slow with the race detector")
			}
			if !full {
				t.Parallel()
			}
			args := append([]string{"analyze"}, strings.Fields(strings.ReplaceAll(c.args, "OUT", t.TempDir()))...)
			stdout, stderr, status, took, rss := runMeasured(t, c.r, append(args, "-")...)
			said := stdout + stderr
			if full {
				t.Logf("%s: status %d, %s, %d MB: %.120s", c.name, status, took.Round(time.Second/10), rss>>20, strings.TrimSpace(stderr))
			}
			if status != c.status {
				t.Errorf("exit status %d, want %d", status, c.status)
			}
			if !regexp.MustCompile(c.say).MatchString(said) {
				t.Errorf("%s is missing in\n%.2000s", c.say, said)
			}
			limit := uint64(100 * mb)
			if strings.Contains(c.args, "annotate") {
				limit = 600 * mb // one block is in memory
			}
			if rss > limit && !raced {
				t.Errorf("%d MB in memory", rss>>20)
			}
		})
	}
}

// TestSparse: a file that is almost nothing but a hole.
func TestSparse(t *testing.T) {
	size := int64(64 << 20)
	if _, full := floodFrames(t); full {
		size = 2 << 30
	}
	path := filepath.Join(t.TempDir(), "hole")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Skip(err)
	}
	_, stderr, status, _, rss := runMeasured(t, nil, "analyze", path)
	if want := "not a capture file (starts with 00 00 00 00 00 00 00 00); expected pcap or pcapng\n"; status != 2 || !strings.HasSuffix(stderr, want) {
		t.Errorf("exit status %d: %s", status, stderr)
	}
	if rss > 80<<20 && !raced {
		t.Errorf("%d MB in memory", rss>>20)
	}
}
