package capture

import (
	"bytes"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
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
	t0         = int64(t0sec) * second // of most packets
	payloadLen = 66                    // len(payload)
)

// one packet, and three of them.
var (
	onePacket    = []brief{{t0 + 1000, payloadLen, payloadLen, 1, false}}
	threePackets = []brief{onePacket[0], onePacket[0], onePacket[0]}
)

func TestPcapVariants(t *testing.T) {
	three := func(w *pcapWriter) *pcapWriter {
		w.header()
		for range 3 {
			w.record(t0sec, 1, payload)
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
		{"nano", (&pcapWriter{magic: magicNano}).header().record(t0sec, 999_999_999, payload), []brief{{t0 + 999_999_999, payloadLen, payloadLen, 1, false}}},
		{"nano, big-endian", (&pcapWriter{magic: magicNano, big: true}).header().record(t0sec, 7, payload), []brief{{t0 + 7, payloadLen, payloadLen, 1, false}}},
		{"ss991029", three(&pcapWriter{magic: magicModified, extra: kuznetzov}), threePackets},
		{"ss990915", three(&pcapWriter{magic: magicModified, extra: append(bytes.Clone(kuznetzov), 9, 9, 9, 9)}), threePackets},
		{"ss991029, big-endian", three(&pcapWriter{magic: magicModified, big: true, extra: []byte{0, 0, 0, 3, 8, 0, 0, 0}}), threePackets},
		{"ss990417", three(&pcapWriter{extra: kuznetzov}), threePackets},
		{"nokia", three(&pcapWriter{extra: []byte{0x01, 0xb6, 0xbf, 0x9f}}), threePackets},
		{"ixia hardware", (&pcapWriter{magic: magicIxiaHW}).header().u32(99).record(t0sec, 7, payload), []brief{{t0 + 7, payloadLen, payloadLen, 1, false}}},
		{"ixia software", (&pcapWriter{magic: magicIxiaSW}).header().u32(99).record(t0sec, 1, payload), onePacket},
		{"AIX", (&pcapWriter{major: 2, minor: 2, network: 6}).header().lengths(t0sec, 7, 100, payloadLen, payload), []brief{{t0 + 7, 100, payloadLen, 1, false}}},
		{"version 2.2: lengths swapped", (&pcapWriter{major: 2, minor: 2}).header().lengths(t0sec, 1, 100, payloadLen, payload), []brief{{t0 + 1000, 100, payloadLen, 1, false}}},
		{
			"version 2.3: either",
			(&pcapWriter{major: 2, minor: 3}).header().lengths(t0sec, 1, 100, payloadLen, payload).lengths(t0sec, 1, payloadLen, 100, payload),
			[]brief{{t0 + 1000, 100, payloadLen, 1, false}, {t0 + 1000, 100, payloadLen, 1, false}},
		},
		{"DG/UX", (&pcapWriter{major: 543, minor: 0}).header().lengths(t0sec, 1, 100, payloadLen, payload), []brief{{t0 + 1000, 100, payloadLen, 1, false}}},
		{"version 3.0", (&pcapWriter{major: 3}).header().record(t0sec, 1, payload), onePacket},
		{"frame check sequence length", (&pcapWriter{network: 0x24000001}).header().record(t0sec, 1, payload), onePacket},
		{"link type 276", (&pcapWriter{network: 276}).header().record(t0sec, 1, payload), []brief{{t0 + 1000, payloadLen, payloadLen, 276, false}}},
		{"link type that Wireshark refuses", (&pcapWriter{network: 17}).header().record(t0sec, 1, payload), []brief{{t0 + 1000, payloadLen, payloadLen, 17, false}}},
		{"snaplen exceeded", three(&pcapWriter{snaplen: 20}), threePackets},
		{"cut by the snaplen", (&pcapWriter{}).header().lengths(t0sec, 1, 20, 1500, payload[:20]), []brief{{t0 + 1000, 1500, 20, 1, false}}},
		{"longer than on the wire", (&pcapWriter{}).header().lengths(t0sec, 1, payloadLen, 20, payload), []brief{{t0 + 1000, payloadLen, payloadLen, 1, false}}},
		{"empty packet", (&pcapWriter{}).header().lengths(t0sec, 1, 0, 60, nil), []brief{{t0 + 1000, 60, 0, 1, false}}},
		{"largest time", (&pcapWriter{}).header().record(math.MaxUint32, math.MaxUint32, payload), []brief{{math.MaxUint32*second + math.MaxUint32*1000, payloadLen, payloadLen, 1, false}}},
		{"largest packet", (&pcapWriter{}).header().record(t0sec, 1, make([]byte, maxPacket)).record(t0sec, 1, payload), []brief{{t0 + 1000, maxPacket, maxPacket, 1, false}, onePacket[0]}},
		{
			"a link type with huge packets",
			(&pcapWriter{network: 249}).header().record(t0sec, 1, make([]byte, 3_000_001)).record(t0sec, 1, payload),
			[]brief{{t0 + 1000, 3_000_001, maxPacket, 249, false}, {t0 + 1000, payloadLen, payloadLen, 249, false}},
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
	const ts = t0sec*1_000_000 + 1 // µs
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
			[]brief{onePacket[0], {t0 + 1000, payloadLen, payloadLen, 101, false}, onePacket[0], {t0 + 1000, payloadLen, payloadLen, 113, false}},
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
				enhanced(0, t0sec*second+123456789, payload).
				enhanced(1, t0sec*1024+512, payload).
				enhanced(2, t0sec, payload).
				enhanced(3, t0sec*1000+1, payload),
			[]brief{
				{t0 + 123456789, payloadLen, payloadLen, 1, false},
				{t0 + second/2, payloadLen, payloadLen, 1, false},
				{t0, payloadLen, payloadLen, 1, false},
				{t0 + 1_000_000, payloadLen, payloadLen, 1, false},
			},
		},
		{
			"time offset, big-endian",
			ng(true).iface(1, 0, be.option(14, be.words(nil, uint64(t0sec)))).enhanced(0, 1, payload),
			onePacket,
		},
		{
			"times beyond any clock",
			ng(false).iface(1, 0).iface(1, 0, w.option(14, w.words(nil, ^uint64(0)>>1))).iface(1, 0, w.option(14, w.words(nil, uint64(1)<<63))).
				enhanced(0, math.MaxUint64, payload).enhanced(1, 1, payload).enhanced(2, 1, payload),
			[]brief{{math.MaxInt64, payloadLen, payloadLen, 1, false}, {math.MaxInt64, payloadLen, payloadLen, 1, false}, {math.MinInt64 + 1000, payloadLen, payloadLen, 1, false}},
		},
		{
			"simple packets",
			ng(false).iface(1, 0).iface(101, 0).block(blockSimple, payloadLen, payload),
			[]brief{{0, payloadLen, payloadLen, 1, false}},
		},
		{
			"simple packets cut by the snaplen",
			ng(false).iface(1, 20).block(blockSimple, payloadLen, payload[:20]),
			[]brief{{0, payloadLen, 20, 1, false}},
		},
		{
			"obsolete packets",
			ng(false).iface(1, 0).block(blockPacket, uint16(0), uint16(0xffff), ts>>32, ts&math.MaxUint32, payloadLen, payloadLen, payload),
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
			[]brief{{t0 + 1000, 3_000_001, maxPacket, 249, false}, {t0 + 1000, payloadLen, payloadLen, 249, false}},
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
			ng(false).iface(1, 0).block(blockEnhanced, 0, ts>>32, ts&math.MaxUint32, payloadLen, 20, payload),
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
		Format: "pcap", LinkTypes: []LinkType{1}, Snaplen: 96, Frames: 3, Bytes: 24 + 3*(16+payloadLen),
		First: t0, Last: t0 + 2_000_000,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// The first and the last time of frames are those that a look at each finds, wherever they lie, and those without
// one aside.
func TestTimesOf(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		batch := make([]Frame, 1+r.IntN(6))
		first, last := int64(math.MaxInt64), int64(math.MinInt64)
		for i := range batch {
			x := r.Int64N(7) - 3
			if r.IntN(20) == 0 {
				x = []int64{math.MinInt64, math.MaxInt64}[r.IntN(2)]
			}
			if batch[i].Time = x; x != 0 {
				first, last = min(first, x), max(last, x)
			}
		}
		if a, b := timesOf(batch); a != first || b != last {
			t.Fatalf("%d to %d, want %d to %d: %v", a, b, first, last, batch)
		}
	}
}
