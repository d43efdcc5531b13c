package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// shape is a capture as users have it, made of one that was generated.
type shape struct {
	name string
	make func(plain []byte, dir string) (files []string, err error)
}

// shapes are those which several processors may read.
var shapes = []shape{
	{"one file", func(plain []byte, dir string) ([]string, error) { return put(dir, "one.pcap", plain) }},
	{"one file, gzip", func(plain []byte, dir string) ([]string, error) {
		return put(dir, "one.pcap.gz", members(plain, len(plain)))
	}},
	{"one file, bgzip", func(plain []byte, dir string) ([]string, error) {
		return put(dir, "one.pcap.gz", members(plain, 0xff00))
	}},
	{"six rotated files, gzip", rotate},
	{"two points, begun two seconds apart", func(plain []byte, dir string) ([]string, error) {
		files, err := put(dir, "lb.pcap", plain)
		if err != nil {
			return nil, err
		}
		other, err := put(dir, "target.pcap", otherPoint(plain))
		return append(files, other...), err
	}},
}

// put writes a file.
func put(dir, name string, data []byte) ([]string, error) {
	path := filepath.Join(dir, name)
	return []string{path}, os.WriteFile(path, data, 0o666)
}

// members compresses data to members of so many octets that say how long they are where that has room.
func members(data []byte, octets int) []byte {
	var all bytes.Buffer
	for len(data) > 0 {
		n := min(octets, len(data))
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if n == 0xff00 {
			z.Extra = []byte("BC\x02\x00\x00\x00")
		}
		z.Write(data[:n])
		z.Close() // nothing of it fails in memory
		if n == 0xff00 {
			binary.LittleEndian.PutUint16(b.Bytes()[16:], uint16(b.Len()-1))
		}
		all.Write(b.Bytes())
		data = data[n:]
	}
	return all.Bytes()
}

// Lengths of headers in a pcap file.
const (
	fileHeader   = 24
	recordHeader = 16
)

// records gives the records of a little-endian pcap file.
func records(plain []byte, yield func(record []byte)) {
	for at := fileHeader; at < len(plain); {
		n := recordHeader + int(binary.LittleEndian.Uint32(plain[at+8:]))
		yield(plain[at : at+n])
		at += n
	}
}

// fill puts letters where bodies are, which are one octet again and again: nothing that is really sent inflates so easily.
func fill(plain []byte) {
	r := rand.New(rand.NewPCG(1, 1))
	const heads = 230 // octets of a packet that may be headers
	records(plain, func(record []byte) {
		for i := recordHeader + heads; i < len(record); i++ {
			record[i] = 'A' + byte(r.Uint32()%64)
		}
	})
}

// rotate cuts a capture into files that continue each other.
func rotate(plain []byte, dir string) (files []string, err error) {
	const parts = 6
	part := bytes.Clone(plain[:fileHeader])
	write := func() {
		var f []string
		if err == nil {
			f, err = put(dir, fmt.Sprintf("part%d.pcap.gz", len(files)), members(part, len(part)))
			files = append(files, f...)
		}
		part = part[:fileHeader]
	}
	records(plain, func(r []byte) {
		if part = append(part, r...); len(part) > len(plain)/parts {
			write()
		}
	})
	if len(part) > fileHeader {
		write()
	}
	return files, err
}

// otherPoint is what a capture of the same shows a hop away, 350 µs later, begun two seconds after it.
func otherPoint(plain []byte) []byte {
	le := binary.LittleEndian
	out := bytes.Clone(plain[:fileHeader])
	begins := int64(-1)
	records(plain, func(r []byte) {
		at := int64(le.Uint32(r))*1e6 + int64(le.Uint32(r[4:])) + 350
		if begins < 0 {
			begins = at + 2e6
		}
		if at < begins {
			return
		}
		r = bytes.Clone(r)
		le.PutUint32(r, uint32(at/1e6))
		le.PutUint32(r[4:], uint32(at%1e6))
		const ttl = recordHeader + 14 + 8
		if r[ttl-8]>>4 == 4 {
			r[ttl]--
		}
		out = append(out, r...)
	})
	return out
}

// several measures connrace with one processor and with two. Both must say the same.
func (b *bench) several(ctx context.Context, all []workload, w io.Writer) error {
	t := newTable("capture", "form", "wall s, one processor", "wall s, two", "two / one", "CPU two / one")
	for _, load := range all {
		s, err := b.make(ctx, load)
		if err != nil {
			return err
		}
		plain, err := os.ReadFile(s.file)
		if err != nil {
			return err
		}
		fill(plain)
		title := s.title()
		for _, form := range shapes {
			dir := filepath.Join(b.dir, "shape")
			if err := os.Mkdir(dir, 0o777); err != nil {
				return err
			}
			files, err := form.make(plain, dir)
			if err != nil {
				return err
			}
			one, two, err := b.pair(ctx, files)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", title, form.name, err)
			}
			t.row(title, form.name, fmt.Sprintf("%.2f", one.wall.Seconds()), fmt.Sprintf("%.2f", two.wall.Seconds()), ratio(two.wall, one.wall), ratio(two.cpu, one.cpu))
			title = ""
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
		}
		if err := os.Remove(s.file); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, t.String())
	return err
}

// pair is what files cost with one processor and with two, in turn.
func (b *bench) pair(ctx context.Context, files []string) (one, two cost, err error) {
	var costs [2][]cost
	for range b.rounds {
		var said [2][]byte
		for i := range costs {
			cmd := exec.CommandContext(ctx, filepath.Join(b.dir, connrace), append([]string{"-q", "--format", "json", "--workers", strconv.Itoa(i + 1)}, files...)...)
			began := time.Now()
			if said[i], err = cmd.Output(); err != nil {
				return one, two, err
			}
			costs[i] = append(costs[i], cost{wall: time.Since(began), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()})
		}
		if !bytes.Equal(said[0], said[1]) {
			return one, two, fmt.Errorf("says something else with two processors")
		}
	}
	return medians(costs[0]), medians(costs[1]), nil
}
