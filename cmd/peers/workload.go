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
	requests               int    // on a connection
	response               string // bytes of an answer, from-to
	snaplen                int
	outage                 []string // for pcapgen, instead of all that; what is to be found is not known
	unlisted               bool     // findings are counted, and not written
}

// share is a part of n, but something.
func share(size float64, n int) int { return max(1, int(size*float64(n))) }

// small is a capture of small packets, cut to their headers. However small it is, it has
// a fault of each kind.
func small(packets, flows int) workload {
	return workload{
		name: "small packets", packets: packets, flows: flows, faults: min(max(15, packets/30_000), 300),
		requests: 20, response: "100-1000", snaplen: 96,
	}
}

// once is a capture of connections for one request each.
func once(packets, flows int) workload {
	w := small(packets, flows)
	w.name, w.requests = "small packets, one request on each", 1
	return w
}

// compared are the captures of the table beside others.
func compared(size float64) []workload {
	http := workload{
		name: "packets of HTTP", packets: share(size, 1_000_000), flows: share(size, 1000), faults: max(15, share(size, 300)),
		requests: 20, response: "1000-60000",
	}
	packets, many := share(size, 10_000_000), share(size, 1_000_000)
	return []workload{http, small(packets, share(size, 10_000)), small(packets, many), once(packets, many)}
}

// shaped are the captures that several processors read: of each kind one.
func shaped(size float64) []workload {
	all := compared(size)
	return []workload{all[0], all[1], all[3]}
}

// anOutage is a capture of targets in trouble.
func anOutage(name string, packets, flows int, args ...string) workload {
	return workload{name: name, packets: packets, flows: flows, outage: args}
}

// outages are pairs of captures of one target in trouble: much waits, and the same where little
// does.
func outages(size float64) []workload {
	stalled, syns, slow := share(size, 5000), share(size, 60_000), share(size, 4000)
	stall := func(n int) workload {
		return anOutage(fmt.Sprintf("%s requests stalled", thousands(n)), 3*syns+4*n, syns+n, "-stalled", strconv.Itoa(n), "-syns", strconv.Itoa(syns))
	}
	late := func(ms string) workload {
		const rounds = 40
		return anOutage("answers after "+ms, slow*(3+2*rounds), slow, "-slow", strconv.Itoa(slow), "-late", ms)
	}
	return []workload{stall(stalled), stall(5), late("300ms"), late("150ms")}
}

// mounting are captures of trouble of one kind after the other, each of ten times as much as the
// one before: of requests that wait, and as many SYNs that ask about each of them; of findings; and
// of targets, in the end more than are told apart.
func mounting(size float64) (all []workload) {
	add := func(n int, what string, packets, flows int, args ...string) {
		w := anOutage(thousands(n)+" "+what, packets, flows, args...)
		w.unlisted = true
		all = append(all, w)
	}
	for _, most := range []int{1000, 10_000, 100_000} {
		n := share(size, most)
		add(n, "requests stalled", 7*n, 2*n, "-stalled", strconv.Itoa(n), "-syns", strconv.Itoa(n))
	}
	for _, most := range []int{10_000, 100_000, 1_000_000} {
		n := share(size, most)
		add(n, "findings", 3*n, n, "-syns", strconv.Itoa(n))
	}
	for _, most := range []int{1000, 10_000, 100_000} {
		n := share(size, most)
		add(n, "targets", 3*n, n, "-syns", strconv.Itoa(n), "-targets", strconv.Itoa(n))
	}
	return all
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
	wants   map[string]int // findings by rule; nil: not known
}

// make writes the capture, and reads it once so that it is in the page cache.
func (b *bench) make(ctx context.Context, w workload) (*sample, error) {
	b.say("%s packets: %s, %s connections", thousands(w.packets), w.name, thousands(w.flows))
	const spare = 100 << 20
	if free, ok := freeSpace(b.dir); ok && free < w.octets()+spare {
		return nil, fmt.Errorf("%s has %d MB free, a capture needs up to %d MB: see -dir and -size",
			filepath.Dir(b.dir), free>>20, (w.octets()+spare)>>20)
	}
	s := &sample{workload: w, file: filepath.Join(b.dir, "x.pcap")}
	wants := filepath.Join(b.dir, "wants")
	cmd := exec.CommandContext(ctx, filepath.Join(b.dir, "pcapgen"), "-o", s.file, "-wants", wants,
		"-packets", strconv.Itoa(w.packets), "-flows", strconv.Itoa(w.flows), "-faults", strconv.Itoa(w.faults),
		"-requests", strconv.Itoa(w.requests), "-response", w.response, "-snaplen", strconv.Itoa(w.snaplen), "-seed", strconv.FormatUint(b.seed, 10))
	if w.outage != nil {
		cmd.Args = append(cmd.Args[:3], w.outage...)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("pcapgen: %w %s", errors.Join(ctx.Err(), err), out)
	}
	var err error
	if w.outage == nil {
		if s.wants, err = readWants(wants); err != nil {
			return nil, err
		}
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
