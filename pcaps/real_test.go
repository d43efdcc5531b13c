package pcaps

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// Every description has its capture, the requests that failed are where it says, and all
// together stay small.
func TestReals(t *testing.T) {
	all, err := Reals()
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, r := range all {
		b, err := File(r.File)
		if err != nil {
			t.Fatalf("%s: %v", r.Scene, err)
		}
		total += len(b)
		for _, f := range r.Failed {
			if len(f.Rules) == 0 || f.ID == "" || f.Time.IsZero() {
				t.Errorf("%s: incomplete %+v", r.File, f)
			}
			if f.Frame == 0 || !strings.HasSuffix(r.File, ".pcap") {
				continue
			}
			if frame := pcapFrame(b, f.Frame); !bytes.Contains(frame, []byte("/r/"+f.ID)) {
				t.Errorf("%s: frame %d is not request %s", r.File, f.Frame, f.ID)
			}
		}
		for _, l := range r.Logs {
			if log, err := File(l); err != nil || len(log) == 0 {
				t.Errorf("%s: %d octets, %v", l, len(log), err)
			}
		}
	}
	if len(all) < 10 || total > 5<<18 {
		t.Errorf("%d captures of %d octets: want at least 10, at most 1.25 MiB", len(all), total)
	}
}

// pcapFrame is the n-th record of a little-endian pcap file.
func pcapFrame(b []byte, n uint64) []byte {
	for b = b[24:]; len(b) >= 16; n-- {
		size := binary.LittleEndian.Uint32(b[8:])
		if n == 1 {
			return b[16 : 16+size]
		}
		b = b[16+size:]
	}
	return nil
}
