package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stamped is a capture of a SYN and the RST that refuses it, with the times that the blocks
// say, in ns.
func stamped(stamps ...uint64) []byte {
	le := binary.LittleEndian
	file := block(0x0a0d0d0a, "\x4d\x3c\x2b\x1a\x01\x00\x00\x00"+strings.Repeat("\xff", 8)) +
		block(1, "\x01\x00\x00\x00\x00\x00\x00\x00"+"\x09\x00\x01\x00\x09\x00\x00\x00"+"\x00\x00\x00\x00")
	for i, tcp := range []string{
		"\x03\xe8\x00\x50" + "\x00\x00\x00\x01" + "\x00\x00\x00\x00" + "\x50\x02\x01\xf4\x00\x00\x00\x00",
		"\x00\x50\x03\xe8" + "\x00\x00\x00\x00" + "\x00\x00\x00\x02" + "\x50\x14\x01\xf4\x00\x00\x00\x00",
	} {
		ends := []string{"\x0a\x00\x00\x01", "\x0a\x00\x00\x02"}
		packet := strings.Repeat("\x02", 12) + "\x08\x00" + "\x45\x00\x00\x28\x00\x02\x40\x00\x40\x06\x00\x00" + ends[i] + ends[1-i] + tcp
		b := le.AppendUint32(nil, 0)
		b = le.AppendUint32(b, uint32(stamps[i]>>32))
		b = le.AppendUint32(b, uint32(stamps[i]))
		b = le.AppendUint32(b, uint32(len(packet)))
		b = le.AppendUint32(b, uint32(len(packet)))
		file += block(6, string(b)+packet)
	}
	return []byte(file)
}

// TestEndOfTime writes everything of captures whose times have no successor, or are as far
// from each other as times can be: a page of one of them once was a panic.
func TestEndOfTime(t *testing.T) {
	for name, stamps := range map[string][]uint64{
		"the last": {1<<64 - 1, 1<<64 - 1}, "the last with a sign": {1<<63 - 1, 1<<63 - 1}, "shortly before": {1<<63 - 3, 1<<63 - 2},
		"the first": {0, 0}, "far apart": {0, 1<<63 - 1},
	} {
		dir := t.TempDir()
		in, page := filepath.Join(dir, "x.pcapng"), filepath.Join(dir, "x.html")
		if err := os.WriteFile(in, stamped(stamps...), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, format := range []string{"table", "json", "jsonl", "csv", "markdown"} {
			os.RemoveAll(filepath.Join(dir, "ev"))
			stdout, stderr, _, _ := mustRun(t, nil, "analyze", "-v", "--format", format, "--html", page,
				"--annotate", filepath.Join(dir, "y.pcapng"), "--evidence", filepath.Join(dir, "ev"), in)
			if name != "far apart" && !strings.Contains(stdout, "connection-refused") {
				t.Errorf("%s, %s: the finding is missing: %s%s", name, format, stdout, stderr)
			}
		}
		if html, err := os.ReadFile(page); err != nil || strings.Contains(string(html), "NaN") {
			t.Errorf("%s: no number in the page, or no page: %v", name, err)
		}
	}
}
