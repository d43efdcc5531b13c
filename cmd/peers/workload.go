package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// workload is a capture to be made.
type workload struct {
	name                   string
	packets, flows, faults int
	response               string // bytes of an answer, from-to
	snaplen                int
}

// share is a part of n, but something.
func share(size float64, n int) int { return max(1, int(size*float64(n))) }

// small is a capture of small packets, cut to their headers. However small it is, it has
// a fault of each kind.
func small(packets, flows int) workload {
	return workload{"small packets", packets, flows, min(max(15, packets/30_000), 300), "100-1000", 96}
}

// compared are the captures of the table beside others.
func compared(size float64) []workload {
	http := workload{"packets of HTTP", share(size, 1_000_000), share(size, 1000), max(15, share(size, 300)), "1000-60000", 0}
	packets := share(size, 10_000_000)
	return []workload{http, small(packets, share(size, 10_000)), small(packets, share(size, 1_000_000))}
}

// growing are the captures of the table of growth.
func growing(size float64, full bool) (all []workload) {
	for _, n := range [][2]int{
		{10_000_000, 1000},
		{10_000_000, 10_000},
		{10_000_000, 100_000},
		{10_000_000, 1_000_000},
		{1_000_000, 10_000},
		{100_000_000, 10_000},
	} {
		if n[0] <= 10_000_000 || full {
			all = append(all, small(share(size, n[0]), share(size, n[1])))
		}
	}
	return all
}

// octets is about how large the file becomes.
func (w *workload) octets() uint64 {
	if w.snaplen > 0 {
		return uint64(w.packets) * uint64(w.snaplen+16)
	}
	return uint64(w.packets) * 1100
}

// sample is a capture that was made.
type sample struct {
	workload
	file    string
	packets int
	octets  int64
	wants   map[string]int // findings by rule
}

// make writes the capture, and reads it once so that it is in the page cache.
func (b *bench) make(ctx context.Context, w workload) (*sample, error) {
	b.say("%s %s, %s connections", thousands(w.packets), w.name, thousands(w.flows))
	const spare = 100 << 20
	if free, ok := freeSpace(b.dir); ok && free < w.octets()+spare {
		return nil, fmt.Errorf("%s has %d MB free, a capture needs up to %d MB: see -dir and -size",
			filepath.Dir(b.dir), free>>20, (w.octets()+spare)>>20)
	}
	s := &sample{workload: w, file: filepath.Join(b.dir, "x.pcap")}
	wants := filepath.Join(b.dir, "wants")
	cmd := exec.CommandContext(ctx, filepath.Join(b.dir, "pcapgen"), "-o", s.file, "-wants", wants,
		"-packets", strconv.Itoa(w.packets), "-flows", strconv.Itoa(w.flows), "-faults", strconv.Itoa(w.faults),
		"-response", w.response, "-snaplen", strconv.Itoa(w.snaplen), "-seed", strconv.FormatUint(b.seed, 10))
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("pcapgen: %w %s", errors.Join(ctx.Err(), err), out)
	}
	var err error
	if s.wants, err = readWants(wants); err != nil {
		return nil, err
	}
	s.packets, s.octets, err = count(s.file)
	return s, err
}

// readWants reads what pcapgen says is to be found.
func readWants(path string) (map[string]int, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	wants := map[string]int{}
	for {
		var rule string
		var n int
		switch _, err := fmt.Fscanln(f, &rule, &n); {
		case errors.Is(err, io.EOF):
			return wants, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		wants[rule] = n
	}
}

// count counts the packets of a little-endian pcap file, and its bytes.
func count(path string) (packets int, octets int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	_ = f.Sync() // written now, and not while something is measured
	r := bufio.NewReaderSize(f, 1<<20)
	const fileHeader, recordHeader = 24, 16
	skip := fileHeader
	for {
		n, err := r.Discard(skip)
		octets += int64(n)
		if err != nil {
			return 0, 0, fmt.Errorf("%s: %w", path, err)
		}
		head, err := r.Peek(recordHeader)
		switch {
		case errors.Is(err, io.EOF) && len(head) == 0:
			return packets, octets, nil
		case err != nil:
			return 0, 0, fmt.Errorf("%s: %w", path, err)
		}
		packets++
		skip = recordHeader + int(binary.LittleEndian.Uint32(head[8:]))
	}
}
