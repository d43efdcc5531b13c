package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// mutations is how many captures are spoilt; CONNRACE_MUTATIONS says otherwise.
func mutations(t *testing.T) int {
	if v := os.Getenv("CONNRACE_MUTATIONS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if _, full := floodFrames(t); full {
		return 4000
	}
	return 60
}

// seed is what chance begins with: the same for everybody, so that a change does not pass or
// fail by it, unless CONNRACE_SEED says otherwise (.ci/fuzz makes one up).
func seed() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("CONNRACE_SEED"), 10, 64); err == nil {
		return n
	}
	return 1
}

// mutant spoils a sample as somebody would who knows the formats: records that are cut,
// repeated, taken out or moved, lengths, times and headers that lie at their edges, texts of
// one record in another.
func mutant(s *sample, r *rand.Rand) []byte {
	records := [][]byte{}
	for i := 1; i < len(s.ends); i++ {
		records = append(records, bytes.Clone(s.data[s.ends[i-1]:s.ends[i]]))
	}
	head := bytes.Clone(s.data[:s.ends[0]])
	edges := []uint64{0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 1<<63 - 1, 1 << 63, 1<<64 - 1}
	for range 1 + r.IntN(6) {
		i, j := r.IntN(len(records)), r.IntN(len(records))
		x := records[i]
		switch r.IntN(9) {
		case 0: // a number at an edge, of any size and order, anywhere
			b := x
			if r.IntN(8) == 0 {
				b = head
			}
			n := 1 << r.IntN(4)
			if at := r.IntN(len(b)); at+n <= len(b) {
				var v [8]byte
				if e := edges[r.IntN(len(edges))]; r.IntN(2) == 0 {
					binary.LittleEndian.PutUint64(v[:], e)
				} else {
					binary.BigEndian.PutUint64(v[:], e<<(64-8*n))
				}
				copy(b[at:], v[:n])
			}
		case 1:
			records[i] = bytes.Clone(records[j])
		case 2:
			records[i], records[j] = records[j], records[i]
		case 3:
			if len(x) > 1 {
				records[i] = x[:r.IntN(len(x)-1)+1]
			}
		case 4: // the header of one record, the contents of another
			n := min(len(x), len(records[j]), 8+r.IntN(80))
			copy(x[:n], records[j][:n])
		case 5:
			for range 1 + r.IntN(8) {
				x[r.IntN(len(x))] ^= 1 << r.IntN(8)
			}
		case 6: // a time far away: in pcap the first 4 bytes, in pcapng those behind the interface
			at := []int{0, 4, 12, 16}[r.IntN(4)]
			if at+4 <= len(x) {
				binary.LittleEndian.PutUint32(x[at:], uint32(edges[r.IntN(len(edges))]))
			}
		case 7: // TCP's flags, where they are behind Ethernet or near
			if at := len(x) - 1 - r.IntN(min(len(x), 60)); at >= 0 {
				x[at] = byte(r.IntN(64))
			}
		case 8:
			if len(records) > 2 {
				records = append(records[:i], records[i+1:]...)
			}
		}
	}
	out := head
	for _, x := range records {
		out = append(out, x...)
	}
	return out
}

// TestMutations writes everything that can be written of spoilt captures: none crashes the
// program, hangs it or takes more memory than it has in the ordinary.
func TestMutations(t *testing.T) {
	samples := swept(t)
	var most atomic.Uint64
	seed, n := seed(), uint64(mutations(t))
	workers := uint64(runtime.GOMAXPROCS(0))
	t.Cleanup(func() { t.Logf("%d captures, at most %d MB", n, most.Load()>>20) })
	for w := range workers {
		t.Run(fmt.Sprint(w), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for i := w; i < n; i += workers {
				data := mutant(&samples[i%uint64(len(samples))], rand.New(rand.NewPCG(seed, i)))
				peak, bad := writeAll(t, dir, data, i)
				if bad != "" {
					t.Errorf("CONNRACE_SEED=%d, capture %d: %s", seed, i, bad)
				}
				for m := most.Load(); peak > m && !most.CompareAndSwap(m, peak); m = most.Load() {
				}
			}
		})
	}
}

// writeAll writes everything of the i-th spoilt capture. peak is the most memory that it took; bad,
// what must not be.
func writeAll(t *testing.T, dir string, data []byte, i uint64) (peak uint64, bad string) {
	formats := []string{"table", "json", "jsonl", "csv", "markdown"}
	name := filepath.Join(dir, "x.pcap")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, fmt.Sprint(i))
	args := []string{
		"analyze", "-v", "--format", formats[i%uint64(len(formats))], "--html", out + ".html", "--annotate", out + ".pcapng", "--evidence", out,
	}
	if i%3 == 0 {
		args = append(args, "--resync")
	}
	if i%2 == 0 {
		args = append(args, "--show-query")
	}
	stdout, stderr, status, took, peak := runMeasured(t, nil, append(args, name)...)
	switch {
	case status != 0 && status != 2:
		bad = fmt.Sprintf("status %d", status)
	case took > 20*time.Second:
		bad = "it took " + took.String()
	case peak > 64<<20 && !raced:
		bad = fmt.Sprintf("%d MB", peak>>20)
	case strings.Contains(stdout, "frame 0)"):
		bad = "a frame that is none: " + stdout
	case status == 0 && formats[i%uint64(len(formats))] == "json" && !json.Valid([]byte(stdout)):
		bad = "no JSON: " + stdout
	case strings.Contains(stderr, "goroutine "):
		bad = "it crashed"
	}
	if bad != "" {
		bad = fmt.Sprintf("%s\n%.3000s", bad, stderr)
	}
	os.RemoveAll(out)
	os.Remove(out + ".html")
	os.Remove(out + ".pcapng")
	return peak, bad
}
