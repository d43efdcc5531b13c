package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
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
		other, err := put(dir, "target.pcap", otherPoint(plain, 2*time.Second))
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

// otherPoint is what a capture of the same shows a hop away, 350 µs later, begun so long after it.
func otherPoint(plain []byte, after time.Duration) []byte {
	le := binary.LittleEndian
	out := bytes.Clone(plain[:fileHeader])
	begins := int64(-1)
	records(plain, func(r []byte) {
		at := int64(le.Uint32(r))*1e6 + int64(le.Uint32(r[4:])) + 350
		if begins < 0 {
			begins = at + after.Microseconds()
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

// plain makes a capture, and reads it for others to be made of it.
func (b *bench) plain(ctx context.Context, load workload) (*sample, []byte, error) {
	s, err := b.make(ctx, load)
	if err != nil {
		return nil, nil, err
	}
	plain, err := os.ReadFile(s.file)
	return s, plain, err
}

// several measures connrace with one processor and with two. Both must say the same.
func (b *bench) several(ctx context.Context, all []workload, w io.Writer) error {
	t := newTable("capture", "form", "wall s, one processor", "wall s, two", "two / one", "CPU two / one")
	for _, load := range all {
		s, plain, err := b.plain(ctx, load)
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
			costs, said, err := b.byTurns(ctx, append([]string{"--workers", "1"}, files...), append([]string{"--workers", "2"}, files...))
			if err == nil && !bytes.Equal(said[0], said[1]) {
				err = errors.New("says something else with two processors")
			}
			if err != nil {
				return fmt.Errorf("%s, %s: %w", title, form.name, err)
			}
			one, two := costs[0], costs[1]
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

// byTurns is what connrace costs with some arguments and with others, in turn, and what it said.
func (b *bench) byTurns(ctx context.Context, all ...[]string) (costs []cost, said [][]byte, err error) {
	each := make([][]cost, len(all))
	said = make([][]byte, len(all))
	for range b.rounds {
		for i, args := range all {
			cmd := exec.CommandContext(ctx, filepath.Join(b.dir, connrace), append([]string{"-q", "--format", "json"}, args...)...)
			began := time.Now()
			if said[i], err = cmd.Output(); err != nil {
				return nil, nil, err
			}
			each[i] = append(each[i], cost{wall: time.Since(began), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()})
		}
	}
	for _, c := range each {
		costs = append(costs, medians(c))
	}
	return costs, said, nil
}

// joining measures what two captures of the same connections cost when they are joined, and each by itself.
func (b *bench) joining(ctx context.Context, all []workload, w io.Writer) error {
	t := newTable("two captures of", "processors", "wall s, each by itself", "wall s, joined", "joined / sum", "CPU joined / sum")
	for _, load := range all {
		s, plain, err := b.plain(ctx, load)
		if err != nil {
			return err
		}
		other, err := put(b.dir, "target.pcap", otherPoint(plain, 0))
		if err != nil {
			return err
		}
		title := s.title()
		for _, n := range []string{"1", "2"} {
			costs, said, err := b.byTurns(ctx, []string{"--workers", n, s.file}, []string{"--workers", n, other[0]}, []string{"--workers", n, s.file, other[0]})
			if err == nil && !bytes.Contains(said[2], []byte(`"joined"`)) {
				err = errors.New("the captures are not joined")
			}
			if err != nil {
				return fmt.Errorf("%s: %w", title, err)
			}
			wall, cpu := costs[0].wall+costs[1].wall, costs[0].cpu+costs[1].cpu
			t.row(title, n, fmt.Sprintf("%.2f + %.2f", costs[0].wall.Seconds(), costs[1].wall.Seconds()), fmt.Sprintf("%.2f", costs[2].wall.Seconds()), ratio(costs[2].wall, wall), ratio(costs[2].cpu, cpu))
			title = ""
		}
		for _, f := range []string{s.file, other[0]} {
			if err := os.Remove(f); err != nil {
				return err
			}
		}
	}
	_, err := io.WriteString(w, t.String())
	return err
}
