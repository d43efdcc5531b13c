package main

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"connrace/capture"
	"connrace/detect"
	"connrace/pcaps"
)

var small = config{
	packets: 20_000, flows: 50, requests: 10, faults: 60, duration: 100 * time.Second, from: 50, to: 4000, seed: 7,
}

// The same flags give the same bytes, another seed others.
func TestDeterministic(t *testing.T) {
	file := func(seed string) []byte {
		var b bytes.Buffer
		if err := run([]string{"-packets", "5000", "-seed", seed}, &b); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	a := file("1")
	if !bytes.Equal(a, file("1")) {
		t.Error("two runs differ")
	}
	if bytes.Equal(a, file("2")) {
		t.Error("the seed does not matter")
	}
}

// What is found in a generated capture is what its scripts want, in every format.
func TestFindings(t *testing.T) {
	for name, change := range map[string]func(*config){
		"pcap":           func(*config) {},
		"pcapng":         func(c *config) { c.format = pcaps.FileFormat{NG: true} },
		"pcapng ns":      func(c *config) { c.format = pcaps.FileFormat{NG: true, Nano: true} },
		"many flows":     func(c *config) { c.flows, c.seed = 3000, 8 },
		"other seed":     func(c *config) { c.seed = 9 },
		"HTTP/2":         func(c *config) { c.http2 = true },
		"without faults": func(c *config) { c.faults = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			c := small
			change(&c)
			var b bytes.Buffer
			want, err := generate(c, &b)
			if err != nil {
				t.Fatal(err)
			}
			got, frames := find(t, &b)
			if frames < uint64(c.packets) || frames > 2*uint64(c.packets) {
				t.Errorf("%d frames, want about %d", frames, c.packets)
			}
			if !maps.Equal(got, want) {
				t.Errorf("found %v, want %v", got, want)
			}
		})
	}
}

// find counts the findings in a capture by rule.
func find(t *testing.T, r io.Reader) (map[string]int, uint64) {
	f, err := capture.NewFile("generated", r, capture.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d, dec := detect.New(detect.Options{}), capture.NewDecoder()
	d.BeginCapture(0)
	batch := make([]capture.Frame, 64)
	for {
		n, err := f.Read(batch)
		for i := range batch[:n] {
			d.Segments(dec.Decode(&batch[i], nil))
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	found := map[string]int{}
	for _, x := range d.Finish().Findings {
		found[x.Rule.ID]++
	}
	return found, f.Info().Frames
}

// Cut to headers, frames keep their lengths; files and wants are written.
func TestFiles(t *testing.T) {
	out, wants := filepath.Join(t.TempDir(), "x.pcap"), filepath.Join(t.TempDir(), "wants")
	err := run([]string{"-packets", "1000", "-faults", "14", "-snaplen", "96", "-o", out, "-wants", wants}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(out); err != nil || st.Size() > 3000*(96+16) {
		t.Errorf("%v %v", st, err)
	}
	if b, err := os.ReadFile(wants); err != nil || !bytes.Contains(b, []byte("fin-request-crossing 4\n")) {
		t.Errorf("%q %v", b, err)
	}
	for _, args := range [][]string{{"-response", "x"}, {"-format", "x"}, {"-snaplen", "5"}, {"-packets", "0"}, {"-faults", "20000"}} {
		if run(append(args, "-o", out), io.Discard) == nil {
			t.Errorf("%v: no error", args)
		}
	}
}
