package capture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"
)

// readAll reads to the end; err is nil at a clean one. Data is copied.
func readAll(t testing.TB, data []byte, opt ReadOptions, batch int) (frames []Frame, info Info, err error) {
	t.Helper()
	f, err := NewFile("test", bytes.NewReader(data), opt)
	if err != nil {
		return nil, Info{}, err
	}
	defer f.Close()
	b := make([]Frame, batch)
	for {
		n, err := f.Read(b)
		if (n == 0) == (err == nil) {
			t.Fatalf("Read returned %d, %v", n, err)
		}
		for _, fr := range b[:n] {
			fr.Data = bytes.Clone(fr.Data)
			frames = append(frames, fr)
		}
		if err == io.EOF {
			return frames, f.Info(), nil
		}
		if err != nil {
			return frames, f.Info(), err
		}
	}
}

// brief is what the table of variants compares.
type brief struct {
	time     int64
	length   uint32
	data     int
	link     LinkType
	noPacket bool
}

func briefs(frames []Frame) (out []brief) {
	for _, f := range frames {
		out = append(out, brief{f.Time, f.Length, len(f.Data), f.LinkType, f.NoPacket})
	}
	return out
}

const (
	sec  = int64(start) * second // of most packets
	size = 66                    // len(payload)
)

// one packet, and three of them.
var (
	onePacket    = []brief{{sec + 1000, size, size, 1, false}}
	threePackets = []brief{onePacket[0], onePacket[0], onePacket[0]}
)

func TestPcapVariants(t *testing.T) {
	three := func(w *pcapWriter) *pcapWriter {
		w.header()
		for range 3 {
			w.record(start, 1, payload)
		}
		return w
	}
	kuznetzov := []byte{3, 0, 0, 0, 0, 8, 0, 0}
	for _, tt := range []struct {
		name string
		w    *pcapWriter
		want []brief
	}{
		{"micro", three(&pcapWriter{}), threePackets},
		{"micro, big-endian", three(&pcapWriter{big: true}), threePackets},
		{"nano", (&pcapWriter{magic: magicNano}).header().record(start, 999_999_999, payload), []brief{{sec + 999_999_999, size, size, 1, false}}},
		{"nano, big-endian", (&pcapWriter{magic: magicNano, big: true}).header().record(start, 7, payload), []brief{{sec + 7, size, size, 1, false}}},
		{"ss991029", three(&pcapWriter{magic: magicModified, extra: kuznetzov}), threePackets},
		{"ss990915", three(&pcapWriter{magic: magicModified, extra: append(bytes.Clone(kuznetzov), 9, 9, 9, 9)}), threePackets},
		{"ss991029, big-endian", three(&pcapWriter{magic: magicModified, big: true, extra: []byte{0, 0, 0, 3, 8, 0, 0, 0}}), threePackets},
		{"ss990417", three(&pcapWriter{extra: kuznetzov}), threePackets},
		{"nokia", three(&pcapWriter{extra: []byte{0x01, 0xb6, 0xbf, 0x9f}}), threePackets},
		{"ixia hardware", (&pcapWriter{magic: magicIxiaHW}).header().u32(99).record(start, 7, payload), []brief{{sec + 7, size, size, 1, false}}},
		{"ixia software", (&pcapWriter{magic: magicIxiaSW}).header().u32(99).record(start, 1, payload), onePacket},
		{"AIX", (&pcapWriter{major: 2, minor: 2, network: 6}).header().lengths(start, 7, 100, size, payload), []brief{{sec + 7, 100, size, 1, false}}},
		{"version 2.2: lengths swapped", (&pcapWriter{major: 2, minor: 2}).header().lengths(start, 1, 100, size, payload), []brief{{sec + 1000, 100, size, 1, false}}},
		{
			"version 2.3: either",
			(&pcapWriter{major: 2, minor: 3}).header().lengths(start, 1, 100, size, payload).lengths(start, 1, size, 100, payload),
			[]brief{{sec + 1000, 100, size, 1, false}, {sec + 1000, 100, size, 1, false}},
		},
		{"DG/UX", (&pcapWriter{major: 543, minor: 0}).header().lengths(start, 1, 100, size, payload), []brief{{sec + 1000, 100, size, 1, false}}},
		{"version 3.0", (&pcapWriter{major: 3}).header().record(start, 1, payload), onePacket},
		{"frame check sequence length", (&pcapWriter{network: 0x24000001}).header().record(start, 1, payload), onePacket},
		{"link type 276", (&pcapWriter{network: 276}).header().record(start, 1, payload), []brief{{sec + 1000, size, size, 276, false}}},
		{"unknown link type", (&pcapWriter{network: 60000}).header().record(start, 1, payload), []brief{{sec + 1000, size, size, 60000, false}}},
		{"snaplen exceeded", three(&pcapWriter{snaplen: 20}), threePackets},
		{"cut by the snaplen", (&pcapWriter{}).header().lengths(start, 1, 20, 1500, payload[:20]), []brief{{sec + 1000, 1500, 20, 1, false}}},
		{"longer than on the wire", (&pcapWriter{}).header().lengths(start, 1, size, 20, payload), []brief{{sec + 1000, size, size, 1, false}}},
		{"empty packet", (&pcapWriter{}).header().lengths(start, 1, 0, 60, nil), []brief{{sec + 1000, 60, 0, 1, false}}},
		{"largest time", (&pcapWriter{}).header().record(math.MaxUint32, math.MaxUint32, payload), []brief{{math.MaxUint32*second + math.MaxUint32*1000, size, size, 1, false}}},
		{"largest packet", (&pcapWriter{}).header().record(start, 1, make([]byte, maxPacket)).record(start, 1, payload), []brief{{sec + 1000, maxPacket, maxPacket, 1, false}, onePacket[0]}},
		{
			"a link type with huge packets",
			(&pcapWriter{network: 249}).header().record(start, 1, make([]byte, 3_000_001)).record(start, 1, payload),
			[]brief{{sec + 1000, 3_000_001, maxPacket, 249, false}, {sec + 1000, size, size, 249, false}},
		},
		{"zeros", (&pcapWriter{}).header().u32(0, 0, 0, 0, 0, 0, 0, 0), []brief{{0, 0, 0, 1, false}, {0, 0, 0, 1, false}}},
		{"no packets", (&pcapWriter{}).header(), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, batch := range []int{1, 2, 100} {
				frames, info, err := readAll(t, tt.w.b, ReadOptions{}, batch)
				if err != nil {
					t.Fatal(err)
				}
				if got := briefs(frames); !reflect.DeepEqual(got, tt.want) {
					t.Errorf("batch %d: got %v, want %v", batch, got, tt.want)
				}
				if info.Format != "pcap" || info.Bytes != int64(len(tt.w.b)) || info.Frames != uint64(len(frames)) {
					t.Errorf("info %+v of %d bytes", info, len(tt.w.b))
				}
				checkOffsets(t, frames, tt.w.b)
			}
		})
	}
}

func TestPcapngVariants(t *testing.T) {
	const ts = start*1_000_000 + 1 // µs
	ng := func(big bool) *ngWriter { return (&ngWriter{big: big}).section() }
	w := ngWriter{}
	be := ngWriter{big: true}
	for _, tt := range []struct {
		name string
		w    *ngWriter
		want []brief
	}{
		{"little-endian", ng(false).iface(1, 0).enhanced(0, ts, payload), onePacket},
		{"big-endian", ng(true).iface(1, 0).enhanced(0, ts, payload), onePacket},
		{"no interface, no packets", ng(false), nil},
		{
			"sections of both byte orders",
			func() *ngWriter {
				w := ng(false).iface(1, 0).enhanced(0, ts, payload)
				w.big = true
				w.section().iface(101, 0).iface(1, 0).enhanced(0, ts, payload).enhanced(1, ts, payload)
				w.big = false
				return w.section().iface(113, 0).enhanced(0, ts, payload)
			}(),
			[]brief{onePacket[0], {sec + 1000, size, size, 101, false}, onePacket[0], {sec + 1000, size, size, 113, false}},
		},
		{
			"section length given wrong",
			(&ngWriter{}).block(blockSection, uint32(byteOrderMagic), uint16(1), uint16(2), uint64(7)).iface(1, 0).enhanced(0, ts, payload),
			onePacket,
		},
		{
			"time resolutions",
			ng(false).
				iface(1, 0, w.option(9, []byte{9})).
				iface(1, 0, w.option(9, []byte{0x8a})).
				iface(1, 0, w.option(9, []byte{0})).
				iface(1, 0, w.option(2, []byte("eth0")), w.option(9, []byte{3}), w.option(0, nil)).
				enhanced(0, start*second+123456789, payload).
				enhanced(1, start*1024+512, payload).
				enhanced(2, start, payload).
				enhanced(3, start*1000+1, payload),
			[]brief{
				{sec + 123456789, size, size, 1, false},
				{sec + second/2, size, size, 1, false},
				{sec, size, size, 1, false},
				{sec + 1_000_000, size, size, 1, false},
			},
		},
		{
			"time offset, big-endian",
			ng(true).iface(1, 0, be.option(14, be.words(nil, uint64(start)))).enhanced(0, 1, payload),
			onePacket,
		},
		{
			"times beyond any clock",
			ng(false).iface(1, 0).iface(1, 0, w.option(14, w.words(nil, ^uint64(0)>>1))).iface(1, 0, w.option(14, w.words(nil, uint64(1)<<63))).
				enhanced(0, math.MaxUint64, payload).enhanced(1, 1, payload).enhanced(2, 1, payload),
			[]brief{{math.MaxInt64, size, size, 1, false}, {math.MaxInt64, size, size, 1, false}, {math.MinInt64 + 1000, size, size, 1, false}},
		},
		{
			"simple packets",
			ng(false).iface(1, 0).iface(101, 0).block(blockSimple, size, payload),
			[]brief{{0, size, size, 1, false}},
		},
		{
			"simple packets cut by the snaplen",
			ng(false).iface(1, 20).block(blockSimple, size, payload[:20]),
			[]brief{{0, size, 20, 1, false}},
		},
		{
			"obsolete packets",
			ng(false).iface(1, 0).block(blockPacket, uint16(0), uint16(0xffff), ts>>32, ts&math.MaxUint32, size, size, payload),
			onePacket,
		},
		{
			"what has a number without being a packet",
			ng(false).iface(1, 0).
				block(blockJournal, []byte("__REALTIME_TIMESTAMP=1600000000000000\nMESSAGE=hi\n")).
				block(blockCustom, 32473, []byte("text")).
				block(blockCustomKeep, 32473).
				block(blockSysdig, make([]byte, 24)).
				enhanced(0, ts, payload),
			[]brief{{noPacket: true}, {noPacket: true}, {noPacket: true}, {noPacket: true}, onePacket[0]},
		},
		{
			"blocks to pass over",
			ng(false).iface(1, 0).
				block(blockNames, 0).
				block(blockSecrets, 0x544c534b, 3, []byte("abc")).
				block(blockStatistics, 0, 0, 0).
				block(7, []byte("reserved")).
				block(0x80000001, make([]byte, 5000)).
				block(0x7777).
				enhanced(0, ts, payload),
			onePacket,
		},
		{
			"a block too large for memory",
			ng(false).iface(1, 0).block(0x7777, make([]byte, 5_000_000)).enhanced(0, ts, payload),
			onePacket,
		},
		{
			"options too large for memory",
			ng(false).iface(1, 0).enhanced(0, ts, payload, make([]byte, 5_000_000)).enhanced(0, ts, payload),
			[]brief{onePacket[0], onePacket[0]},
		},
		{
			"a link type with huge packets",
			ng(false).iface(249, 0).enhanced(0, ts, make([]byte, 3_000_001)).enhanced(0, ts, payload),
			[]brief{{sec + 1000, 3_000_001, maxPacket, 249, false}, {sec + 1000, size, size, 249, false}},
		},
		{
			"block lengths without the padding",
			func() *ngWriter {
				w := ng(false).iface(1, 0)
				at := len(w.b)
				w.enhanced(0, ts, payload)
				w.b[at+4] -= 2
				w.b[len(w.b)-4] -= 2
				return w.enhanced(0, ts, payload)
			}(),
			[]brief{onePacket[0], onePacket[0]},
		},
		{
			"options that make no sense",
			ng(false).iface(1, 0, []byte{9, 0, 0xff, 0xff}).enhanced(0, ts, payload, []byte{2, 0, 0xff, 0xff}),
			onePacket,
		},
		{
			"longer than on the wire",
			ng(false).iface(1, 0).block(blockEnhanced, 0, ts>>32, ts&math.MaxUint32, size, 20, payload),
			onePacket,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, batch := range []int{1, 2, 100} {
				frames, info, err := readAll(t, tt.w.b, ReadOptions{}, batch)
				if err != nil {
					t.Fatal(err)
				}
				if got := briefs(frames); !reflect.DeepEqual(got, tt.want) {
					t.Errorf("batch %d: got %v, want %v", batch, got, tt.want)
				}
				if info.Format != "pcapng" || info.Bytes != int64(len(tt.w.b)) || info.Frames != uint64(len(frames)) {
					t.Errorf("info %+v of %d bytes", info, len(tt.w.b))
				}
			}
		})
	}
}

// checkOffsets finds the last eight bytes of each packet where Offset says the record is.
func checkOffsets(t *testing.T, frames []Frame, data []byte) {
	t.Helper()
	for i, f := range frames {
		if f.Number != uint64(i+1) {
			t.Errorf("frame %d has number %d", i+1, f.Number)
		}
		if i > 0 && f.Offset <= frames[i-1].Offset {
			t.Errorf("frame %d: offset %d behind %d", f.Number, f.Offset, frames[i-1].Offset)
		}
		if len(f.Data) > 0 && len(f.Data) < maxPacket && !bytes.Contains(data[f.Offset:min(int(f.Offset)+28+len(f.Data), len(data))], f.Data) {
			t.Errorf("frame %d is not at offset %d", f.Number, f.Offset)
		}
	}
}

func TestInfo(t *testing.T) {
	w := ngWriter{}
	w.section().iface(1, 96).iface(113, 64).iface(1, 64)
	w.enhanced(0, 5_000_000, payload).enhanced(1, 3_000_000, payload).enhanced(0, 4_000_000, payload)
	ifdrop := func(code uint16, n uint64) []byte { return w.option(code, w.words(nil, n)) }
	w.block(blockStatistics, 0, 0, 0, ifdrop(5, 3), ifdrop(7, 1))
	w.block(blockStatistics, 0, 0, 0, ifdrop(5, 5), ifdrop(7, 2)) // a later total
	w.block(blockStatistics, 1, 0, 0, ifdrop(4, 1000))            // received: of no interest
	w.block(blockStatistics, 2, 0, 0, ifdrop(5, math.MaxUint64))  // unknown
	w.block(blockStatistics, 9, 0, 0, ifdrop(5, 100))             // no such interface
	w.section().iface(276, 0)
	w.block(blockStatistics, 0, 0, 0, ifdrop(7, 10))
	_, got, err := readAll(t, w.b, ReadOptions{}, 2)
	if err != nil {
		t.Fatal(err)
	}
	want := Info{
		Format: "pcapng", LinkTypes: []LinkType{1, 113, 276}, Snaplen: 0, Frames: 3, Bytes: int64(len(w.b)),
		First: 3 * second, Last: 5 * second, Drops: 17, DropsKnown: true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}

	_, got, err = readAll(t, (&pcapWriter{snaplen: 96}).file(3), ReadOptions{}, 2)
	if err != nil {
		t.Fatal(err)
	}
	want = Info{
		Format: "pcap", LinkTypes: []LinkType{1}, Snaplen: 96, Frames: 3, Bytes: 24 + 3*(16+size),
		First: sec, Last: sec + 2_000_000,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestWindow reads files much larger than the window, from readers of all habits.
func TestWindow(t *testing.T) {
	big := pcapWriter{}
	big.header()
	ng := (&ngWriter{big: true}).section().iface(1, 0)
	var want []brief
	for i := range 400 {
		data := bytes.Repeat([]byte{byte(i)}, i*i%70_000)
		big.record(start, uint32(i), data)
		ng.enhanced(0, start*1_000_000+uint64(i), data)
		want = append(want, brief{sec + int64(i)*1000, uint32(len(data)), len(data), 1, false})
	}
	for name, data := range map[string][]byte{"pcap": big.b, "pcapng": ng.b} {
		for _, chunk := range []int{1 << 30, 100_000, 4096, 1001} {
			f, err := NewFile(name, &chunks{data, chunk}, ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var got []brief
			batch := make([]Frame, 64)
			for {
				n, err := f.Read(batch)
				for _, fr := range batch[:n] {
					if i := len(got); len(fr.Data) > 0 && (fr.Data[0] != byte(i) || fr.Data[len(fr.Data)-1] != byte(i)) {
						t.Fatalf("%s by %d: frame %d has the wrong data", name, chunk, i+1)
					}
					got = append(got, briefs([]Frame{fr})...)
				}
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s by %d: %d frames differ", name, chunk, len(got))
			}
		}
	}
}

// chunks returns at most n bytes at once, and io.EOF together with the last.
type chunks struct {
	b []byte
	n int
}

func (c *chunks) Read(p []byte) (int, error) {
	n := copy(p[:min(c.n, len(p))], c.b)
	c.b = c.b[n:]
	if len(c.b) == 0 {
		return n, io.EOF
	}
	return n, nil
}

func TestReadAllocatesNothing(t *testing.T) {
	for name, data := range map[string][]byte{
		"pcap":   (&pcapWriter{}).file(100_000),
		"pcapng": (&ngWriter{}).file(100_000),
	} {
		f, err := NewFile(name, bytes.NewReader(data), ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		batch := make([]Frame, 64)
		if allocs := testing.AllocsPerRun(1000, func() {
			if _, err := f.Read(batch); err != nil {
				t.Fatal(err)
			}
		}); allocs != 0 {
			t.Errorf("%s: %v allocations per Read", name, allocs)
		}
	}
}

// TestGrowingPipe: what has come in whole is returned at once, as of `tcpdump -U -w -`.
func TestGrowingPipe(t *testing.T) {
	for name, build := range map[string]func() ([]byte, []byte){
		"pcap": func() ([]byte, []byte) {
			w := (&pcapWriter{}).header()
			n := len(w.b)
			w.record(start, 1, payload)
			return w.b[:n], w.b[n:]
		},
		"pcapng": func() ([]byte, []byte) {
			w := (&ngWriter{}).section().iface(1, 0)
			n := len(w.b)
			w.enhanced(0, start, payload)
			return w.b[:n], w.b[n:]
		},
	} {
		t.Run(name, func(t *testing.T) {
			header, record := build()
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			r.SetReadDeadline(time.Now().Add(5 * time.Second)) // instead of hanging
			w.Write(header)
			f, err := NewFile("pipe", r, ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			batch := make([]Frame, 10)
			read := func(want int) {
				t.Helper()
				if n, err := f.Read(batch); n != want || err != nil {
					t.Fatalf("Read returned %d, %v; want %d frames", n, err, want)
				}
			}
			w.Write(record)
			read(1)
			w.Write(append(bytes.Clone(record), record...))
			read(2)
			w.Write(append(bytes.Clone(record), record[:20]...)) // one and a piece
			read(1)
			w.Write(record[20:])
			read(1)
			if got, size := f.Progress(); got != int64(len(header)+5*len(record)) || size != -1 {
				t.Errorf("progress %d of %d", got, size)
			}
			w.Close()
			if n, err := f.Read(batch); n != 0 || err != io.EOF {
				t.Errorf("at the end Read returned %d, %v", n, err)
			}
		})
	}
}

// endless is a prefix followed by n times unit, without holding them.
type endless struct {
	prefix, unit []byte
	n            int
}

func (e *endless) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(e.prefix) == 0 {
			if e.n == 0 {
				if n == 0 {
					return 0, io.EOF
				}
				return n, nil
			}
			e.prefix = e.unit
			e.n--
		}
		k := copy(p[n:], e.prefix)
		e.prefix = e.prefix[k:]
		n += k
	}
	return n, nil
}

// TestHostile: nothing that a file claims makes the reader take memory for it.
func TestHostile(t *testing.T) {
	header := (&pcapWriter{}).header().b
	ng := func() *ngWriter { return (&ngWriter{}).section().iface(1, 0) }
	idb := (&ngWriter{}).iface(1, 0).b
	zeros := make([]byte, 1<<16)
	for _, tt := range []struct {
		name   string
		r      io.Reader
		opt    ReadOptions
		frames uint64
		want   string // of the error; "": none
	}{
		{"4 GB packet", bytes.NewReader((&pcapWriter{}).header().u32(start, 1, math.MaxUint32, math.MaxUint32).b), ReadOptions{}, 0, "4294967295"},
		{"128 MB packet of a link type that may", bytes.NewReader((&pcapWriter{network: 249}).header().u32(start, 1, 128<<20, 128<<20).b), ReadOptions{}, 0, "cut off"},
		{"4 GB block", bytes.NewReader(ng().block(6).words(ng().b, 6, uint32(0xfffffffc), 0)), ReadOptions{}, 0, "4294967292"},
		{"100 MB block, unknown", bytes.NewReader(ng().words(ng().b, 0x7777, 100<<20, 0)), ReadOptions{}, 0, "cut off"},
		{"100 MB block, there", &endless{ng().words(ng().b, 0x7777, 100<<20), zeros, 1600}, ReadOptions{}, 0, "differ"},
		{"zeros behind a header", &endless{header, zeros, 100}, ReadOptions{}, 100 << 12, ""},
		{"zeros behind a header, resyncing", &endless{header, zeros, 100}, ReadOptions{Resync: true}, 0, "no sane record header"},
		{"a million interfaces", &endless{ng().b, idb, 1_000_000}, ReadOptions{}, 0, ""},
		{"a packet of the last of a million interfaces", io.MultiReader(&endless{ng().b, idb, 1_000_000}, bytes.NewReader((&ngWriter{}).enhanced(1_000_000, 1, payload).b)), ReadOptions{}, 0, "only the first 65536"},
		{"as many link types", bytes.NewReader(func() []byte {
			w := ng()
			for i := range 70_000 {
				w.iface(uint16(i), 0)
			}
			return w.b
		}()), ReadOptions{}, 0, ""},
		{"a million sections", &endless{ng().b, ng().b, 1_000_000}, ReadOptions{}, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			f, err := NewFile("hostile", tt.r, tt.opt)
			if err != nil {
				t.Fatal(err)
			}
			batch := make([]Frame, 100)
			for err == nil {
				_, err = f.Read(batch)
			}
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 24<<20 {
				t.Errorf("%d MB allocated", got>>20)
			}
			if err == io.EOF {
				err = nil
			}
			if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			if got := f.Info().Frames; got != tt.frames {
				t.Errorf("%d frames, want %d", got, tt.frames)
			}
		})
	}
}

// TestUnrecognized: a file that is no capture gets one line that says what it is.
func TestUnrecognized(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct{ content, want string }{
		{"", "empty, not a capture file"},
		{"hello world, this is text\n", `not a capture file (starts with "hello worl…"); expected pcap or pcapng`},
		{"hi\n", `not a capture file (starts with "hi\n"); expected pcap or pcapng`},
		{"\x7fELF\x02\x01\x01\x00\x00\x00", "not a capture file (starts with 7f 45 4c 46 02 01 01 00); expected pcap or pcapng"},
		{"snoop\x00\x00\x00\x00\x00\x00\x02", "a snoop capture; expected pcap or pcapng (try: editcap -F pcap FILE FILE.pcap)"},
		{"PK\x03\x04..........", "a zip archive; expected pcap or pcapng (try: unzip FILE)"},
		{"\n\n\n\x1c\x00\x00\x00\x4d", "a pcapng file that went through a text-mode transfer; expected pcap or pcapng (copy it again in binary mode)"},
		{"btsnoop\x00\x00\x00", "a btsnoop (Bluetooth) log; expected pcap or pcapng"},
		{"\xd4\xc3\xb2\xa1\x02\x00\x04", "cut off in the file header: 7 bytes of 24"},
		{"\xd4\xc3\xb2", "not a capture file (starts with d4 c3 b2); expected pcap or pcapng"},
		{"\n\r\r\n\x1c\x00\x00\x00", "cut off in the file header: 8 bytes of 28"},
		{string((&pcapWriter{major: 1, minor: 4}).header().b), "pcap version 1.4 is not supported"},
		{string((&pcapWriter{network: 0x00300001}).header().b), "reserved bits of the link type are set (0x300001)"},
		{string((&ngWriter{}).block(blockSection, uint32(byteOrderMagic), uint16(2), uint16(0), uint64(0)).b), "pcapng version 2.0 is not supported"},
		{"\n\r\r\n\x1c\x00\x00\x00\x01\x02\x03\x04" + strings.Repeat("\x00", 20), "damaged: a section header without byte-order magic"},
		{"\n\r\r\n\xf0\xff\xff\x07\x4d\x3c\x2b\x1a" + strings.Repeat("\x00", 20), "a section header of 134217712 bytes"},
	} {
		path := filepath.Join(dir, "x")
		if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path, ReadOptions{})
		if err == nil {
			f.Close()
			t.Errorf("%q: no error", tt.content)
			continue
		}
		want := path + ": " + strings.ReplaceAll(tt.want, "FILE", path)
		if err.Error() != want {
			t.Errorf("%q:\ngot  %s\nwant %s", tt.content, err, want)
		}
	}
	if _, err := Open(dir, ReadOptions{}); err == nil || err.Error() != dir+": is a directory, not a capture file" {
		t.Error(err)
	}
	missing := filepath.Join(dir, "missing")
	if _, err := Open(missing, ReadOptions{}); !errors.Is(err, os.ErrNotExist) || !strings.HasPrefix(err.Error(), missing+": ") {
		t.Error(err)
	}
}

func TestOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pcap")
	data := (&pcapWriter{}).file(10_000)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	batch := make([]Frame, 100)
	for range 50 {
		if _, err := f.Read(batch); err != nil {
			t.Fatal(err)
		}
	}
	if got, size := f.Progress(); got <= 0 || got > size || size != int64(len(data)) {
		t.Errorf("progress %d of %d", got, size)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Read(batch); n != 0 || !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %d, %v", n, err)
	}
	if _, err := f.Read(nil); err != io.ErrShortBuffer {
		t.Errorf("empty batch: %v", err)
	}
}

// failing fails with err behind its data.
type failing struct {
	r   io.Reader
	err error
}

func (f failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err == io.EOF {
		err = f.err
	}
	return n, err
}

func TestReadError(t *testing.T) {
	broken := errors.New("disk on fire")
	data := (&pcapWriter{}).file(3)
	f, err := NewFile("x", failing{bytes.NewReader(data), broken}, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	batch := make([]Frame, 10)
	if n, err := f.Read(batch); n != 3 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	_, err = f.Read(batch)
	if want := fmt.Sprintf("x: disk on fire (frame 4, byte %d)", len(data)); !errors.Is(err, broken) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := NewFile("x", failing{bytes.NewReader(data[:10]), broken}, ReadOptions{}); !errors.Is(err, broken) {
		t.Error(err)
	}
	if _, err := NewFile("x", failing{bytes.NewReader(nil), broken}, ReadOptions{}); !errors.Is(err, broken) {
		t.Error(err)
	}
}
