package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"testing"
)

// remark is what the tests add to a frame.
func remark(frame uint64) []string {
	return []string{fmt.Sprintf("connrace: frame %d", frame), "connrace: π and more"}
}

func every(n uint64) func(uint64) []string {
	return func(frame uint64) []string {
		if frame%n != 0 {
			return nil
		}
		return remark(frame)
	}
}

// annotate copies data in memory; the section's length can be corrected there.
func annotate(t testing.TB, data []byte, opt ReadOptions, comments func(uint64) []string) ([]byte, Annotated) {
	t.Helper()
	f, err := NewFile("test", bytes.NewReader(data), opt)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var m memory
	got, err := Annotate(&m, f, math.MaxUint64, comments)
	if err != nil {
		t.Fatal(err)
	}
	return m.b, got
}

// memory is a file in memory.
type memory struct{ b []byte }

func (m *memory) Write(p []byte) (int, error) {
	m.b = append(m.b, p...)
	return len(p), nil
}

func (m *memory) WriteAt(p []byte, at int64) (int, error) { return copy(m.b[at:], p), nil }

// blocksOf splits a pcapng file, as far as it is whole.
func blocksOf(b []byte) (blocks [][]byte, big []bool) {
	var order binary.ByteOrder = binary.LittleEndian
	for len(b) >= 12 {
		if bytes.HasPrefix(b, pcapngMagic[:]) {
			order = binary.LittleEndian
			if b[8] == 0x1a {
				order = binary.BigEndian
			}
		}
		n := (int64(order.Uint32(b[4:])) + 3) &^ 3
		if n < 12 || n > int64(len(b)) {
			break
		}
		blocks, big = append(blocks, b[:n]), append(big, order == binary.ByteOrder(binary.BigEndian))
		b = b[n:]
	}
	return blocks, big
}

// checkCopy compares block by block: a copy has all of the original and nothing else but
// our comments.
func checkCopy(t testing.TB, original, dup []byte, commented uint64) {
	t.Helper()
	was, big := blocksOf(original)
	is, _ := blocksOf(dup)
	if len(is) > len(was) {
		t.Fatalf("%d blocks became %d", len(was), len(is))
	}
	var n uint64
	size := 0
	for i := range is {
		size += len(is[i])
		if bytes.Equal(was[i], is[i]) {
			continue
		}
		var order binary.ByteOrder = binary.LittleEndian
		if big[i] {
			order = binary.BigEndian
		}
		if order.Uint32(was[i]) == blockSection { // only its length may differ
			a, b := bytes.Clone(was[i]), bytes.Clone(is[i])
			clear(a[16:24])
			clear(b[16:24])
			if !bytes.Equal(a, b) {
				t.Fatalf("section %x\nbecame  %x", was[i], is[i])
			}
			continue
		}
		n++
		if order.Uint32(was[i]) == blockSimple {
			continue // another kind of block
		}
		if got := order.Uint32(is[i][4:]); int(got) != len(is[i]) {
			t.Fatalf("a block of %d says %d", len(is[i]), got)
		}
		before, after := was[i][8:len(was[i])-4], is[i][8:len(is[i])-4]
		for _, text := range [][]byte{[]byte("connrace: frame "), []byte("connrace: π and more")} {
			at := bytes.Index(after, text)
			if at < 4 || order.Uint16(after[at-4:]) != 1 {
				t.Fatalf("no comment in %x", is[i])
			}
			end := at + (int(order.Uint16(after[at-2:]))+3)&^3
			after = append(bytes.Clone(after[:at-4]), after[end:]...)
		}
		if !bytes.Equal(before, after) && !bytes.Equal(append(bytes.Clone(before), 0, 0, 0, 0), after) {
			t.Fatalf("block %x\nbecame %x", was[i], is[i])
		}
	}
	if n != commented || size != len(dup) {
		t.Errorf("%d blocks changed for %d frames; %d of %d octets are blocks", n, commented, size, len(dup))
	}
}

func TestAnnotateKeepsBlocks(t *testing.T) {
	const ts = t0sec*1_000_000 + 1
	for _, big := range []bool{false, true} {
		w := &ngWriter{big: big}
		comment := w.option(1, []byte("was here before"))
		end := w.option(0, nil)
		w.block(blockSection, uint32(byteOrderMagic), uint16(1), uint16(0), ^uint64(0), w.option(1, []byte("of the section")), end)
		w.iface(1, 0, w.option(2, []byte("eth0")), w.option(9, []byte{9}), end)
		w.block(blockNames, uint16(1), uint16(9), []byte("\x0a\x00\x00\x01host\x00"), 0)
		w.block(blockSecrets, 0x544c534b, 3, []byte("abc"))
		w.enhanced(0, ts, payload)
		w.enhanced(0, ts, payload, comment, w.option(2, []byte{1, 0, 0, 0}), end)
		w.enhanced(0, ts, payload, comment) // without an end
		w.enhanced(0, ts, payload, end, []byte("rest"))
		w.enhanced(0, ts, payload, w.option(2, make([]byte, 4)), []byte("\xff\xfe\xff\xfd?")) // nonsense
		w.enhanced(0, ts, nil)
		w.block(blockPacket, uint16(0), uint16(7), 1, 2, 5, 9, []byte("12345"), comment, end)
		w.block(blockCustom, 32473, []byte("hello world"))
		w.block(blockJournal, []byte("MESSAGE=hi\n"))
		w.block(0x7777, []byte("unknown"))
		w.block(blockStatistics, 0, 0, 0, w.option(5, make([]byte, 8)), end)
		w.big = !big
		w.section().iface(101, 96).enhanced(0, ts, payload[:33])
		original := bytes.Clone(w.b)

		for n := range uint64(4) {
			comments := every(n + 1)
			if n == 3 {
				comments = func(uint64) []string { return nil }
			}
			dup, got := annotate(t, original, ReadOptions{}, comments)
			checkCopy(t, original, dup, got.Commented)
			if got.Frames != 10 || got.Damage != nil || len(got.Simple) > 0 {
				t.Errorf("%+v", got)
			}
			if n == 0 && got.Commented != 8 { // all but those without a packet
				t.Errorf("%d comments", got.Commented)
			}
			a, _, _ := readAll(t, original, ReadOptions{}, 100)
			b, _, _ := readAll(t, dup, ReadOptions{}, 3)
			for i := range a {
				b[i].Offset = a[i].Offset
			}
			if !reflect.DeepEqual(a, b) {
				t.Errorf("frames %+v\nbecame %+v", a, b)
			}
		}
	}
}

// TestAnnotateCorrectsSections checks that a stated length stays true.
func TestAnnotateCorrectsSections(t *testing.T) {
	w := &ngWriter{big: true}
	for range 2 {
		body := (&ngWriter{big: true}).iface(1, 0).enhanced(0, 1, payload).enhanced(0, 2, payload).b
		w.block(blockSection, uint32(byteOrderMagic), uint16(1), uint16(0), uint64(len(body)))
		w.b = append(w.b, body...)
	}
	dup, got := annotate(t, w.b, ReadOptions{}, func(frame uint64) []string {
		if frame != 2 {
			return nil
		}
		return remark(frame)
	})
	checkCopy(t, w.b, dup, got.Commented)
	first := binary.BigEndian.Uint64(dup[16:])
	second := dup[28+first:]
	if !bytes.HasPrefix(second, pcapngMagic[:]) || binary.BigEndian.Uint64(second[16:]) != uint64(len(second)-28) {
		t.Errorf("lengths %d and %d", first, binary.BigEndian.Uint64(second[16:]))
	}

	f, err := NewFile("test", bytes.NewReader(w.b), ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var stream bytes.Buffer
	if _, err := Annotate(&stream, f, math.MaxUint64, remark); err != nil {
		t.Fatal(err)
	}
	if n := binary.BigEndian.Uint64(stream.Bytes()[16:]); n != math.MaxUint64 {
		t.Errorf("a length of %d in a stream that cannot be corrected", n)
	}
}

func TestAnnotateSimplePackets(t *testing.T) {
	w := (&ngWriter{big: true}).section()
	w.iface(1, 60, w.option(9, []byte{3}), w.option(14, []byte{0, 0, 0, 0, 0, 0, 0, 5}))
	w.enhanced(0, (t0sec-5)*1000+250, payload).block(blockSimple, 66, payload[:60]).block(blockSimple, 5, payload[:5])
	dup, got := annotate(t, w.b, ReadOptions{}, every(2))
	checkCopy(t, w.b, dup, 1)
	if !reflect.DeepEqual(got.Simple, []uint64{2}) {
		t.Errorf("%+v", got)
	}
	frames, _, err := readAll(t, dup, ReadOptions{}, 9)
	if err != nil || len(frames) != 3 {
		t.Fatal(len(frames), err)
	}
	if f := frames[1]; f.Time != t0sec*second+250e6 || f.Length != 66 || !bytes.Equal(f.Data, payload[:60]) {
		t.Errorf("%+v", f)
	}
	if frames[2].Time != 0 {
		t.Error("the other simple packet has a time")
	}
}

// TestAnnotateLargeBlocks copies what does not fit into the window.
func TestAnnotateLargeBlocks(t *testing.T) {
	secrets := bytes.Repeat([]byte("CLIENT_RANDOM 0123456789\n"), 3*windowMax/25)
	w := (&ngWriter{}).section()
	w.iface(249, 0).block(blockSecrets, 0x544c534b, len(secrets), secrets)
	w.enhanced(0, 7, bytes.Repeat([]byte("usb"), windowMax))
	w.enhanced(0, 9, payload, bytes.Repeat(w.option(1, secrets[:60000]), 30)).enhanced(0, 8, payload)
	dup, got := annotate(t, w.b, ReadOptions{}, remark)
	checkCopy(t, w.b, dup, 3)
	dup2, _ := annotate(t, w.b, ReadOptions{}, func(uint64) []string { return nil })
	if !bytes.Equal(dup2, w.b) {
		t.Error("a copy without comments differs")
	}
	if got.Frames != 3 || got.Damage != nil {
		t.Fatalf("%+v", got)
	}
}

func TestAnnotateDamaged(t *testing.T) {
	for name, file := range marked() {
		for cut := file.ends[0]; cut <= len(file.data); cut++ {
			dup, got := annotate(t, file.data[:cut], ReadOptions{}, every(2))
			whole, frames := 0, 0
			for i, end := range file.ends {
				if end <= cut {
					whole, frames = end, file.frames[i]
				}
			}
			if got.Frames != uint64(frames) || (got.Damage != nil) != (cut > whole) {
				t.Fatalf("%s cut at %d: %+v", name, cut, got)
			}
			if name == "pcapng" {
				checkCopy(t, file.data[:whole], dup, got.Commented)
			}
			if again, _, err := readAll(t, dup, ReadOptions{}, 9); err != nil || len(again) != frames {
				t.Fatalf("%s cut at %d: %d frames, %v", name, cut, len(again), err)
			}
		}
	}
	w := (&ngWriter{}).file(3)
	hole := append(bytes.Clone(w), bytes.Repeat([]byte("\xee"), 99)...)
	hole = append(hole, (&ngWriter{}).file(3)[48:]...)
	dup, got := annotate(t, hole, ReadOptions{Resync: true}, remark)
	again, _, err := readAll(t, dup, ReadOptions{}, 9)
	if got.Frames != 6 || got.Commented != 6 || len(again) != 6 || err != nil {
		t.Errorf("%+v; %d frames, %v", got, len(again), err)
	}
}

// TestAnnotatePcap checks that a copy of a pcap file has its frames.
func TestAnnotatePcap(t *testing.T) {
	large := &pcapWriter{network: 249}
	large.header().record(t0sec, 1, bytes.Repeat(payload, windowMax/20)).record(t0sec, 2, payload)
	lies := &pcapWriter{snaplen: 20}
	lies.header().lengths(t0sec, 1, 66, 20, payload).lengths(t0sec, 1_000_001, 60, 66, payload[:60])
	for name, data := range map[string][]byte{
		"le":       (&pcapWriter{snaplen: 96}).file(9),
		"be-nano":  (&pcapWriter{big: true, magic: magicNano}).file(9),
		"modified": (&pcapWriter{magic: magicModified, extra: make([]byte, 8)}).file(9),
		"2.3":      (&pcapWriter{major: 2, minor: 3}).file(9),
		"sll2":     (&pcapWriter{network: 276}).file(9),
		"fcs":      (&pcapWriter{network: 1 | 0x24000000}).file(9),
		"large":    large.b,
		"lies":     lies.b,
		"empty":    (&pcapWriter{}).file(0),
	} {
		dup, got := annotate(t, data, ReadOptions{}, every(2))
		was, info, _ := readAll(t, data, ReadOptions{}, 3)
		is, info2, err := readAll(t, dup, ReadOptions{}, 3)
		if err != nil || got.Frames != uint64(len(was)) || got.Commented != uint64(len(was)/2) || len(is) != len(was) {
			t.Fatalf("%s: %+v, %d frames, %v", name, got, len(is), err)
		}
		for i := range was {
			is[i].Offset = was[i].Offset
			if !reflect.DeepEqual(was[i], is[i]) {
				t.Errorf("%s: %+v\nbecame %+v", name, was[i], is[i])
			}
		}
		if !reflect.DeepEqual(info.LinkTypes, info2.LinkTypes) || info.Snaplen != info2.Snaplen {
			t.Errorf("%s: %+v became %+v", name, info, info2)
		}
		if n := bytes.Count(dup, []byte("π and more")); n != len(was)/2 {
			t.Errorf("%s: %d comments", name, n)
		}
	}
}

func TestAnnotateStops(t *testing.T) {
	for _, data := range [][]byte{(&ngWriter{}).file(200), (&pcapWriter{}).file(200)} {
		f, err := NewFile("test", bytes.NewReader(data), ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var m memory
		got, err := Annotate(&m, f, 70, remark)
		frames, _, end := readAll(t, m.b, ReadOptions{}, 9)
		if err != nil || got.Frames != 70 || got.Commented != 70 || len(frames) != 70 || end != nil {
			t.Errorf("%+v, %v; %d frames, %v", got, err, len(frames), end)
		}

		f, _ = NewFile("test", bytes.NewReader(data), ReadOptions{})
		if _, err := Annotate(full{}, f, 70, remark); !errors.Is(err, errFull) {
			t.Errorf("got %v", err)
		}
	}
}

var errFull = errors.New("no space left")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

// FuzzAnnotate copies anything. The copy has the same frames, can be read to its end, and
// a copy of it without comments is the same again.
func FuzzAnnotate(f *testing.F) {
	for _, file := range marked() {
		f.Add(file.data, uint8(2))
	}
	w := (&ngWriter{}).section()
	w.iface(1, 0, w.option(9, []byte{9}), w.option(14, make([]byte, 8)))
	w.enhanced(0, t0sec*second, payload, w.option(1, []byte("x"))).block(blockSimple, 3, []byte("abc")).block(blockJournal, []byte("x"))
	f.Add(w.b, uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, n uint8) {
		for _, opt := range []ReadOptions{{}, {Resync: true}} {
			in, err := NewFile("test", bytes.NewReader(data), opt)
			if err != nil {
				return
			}
			var m memory
			got, err := Annotate(&m, in, 4000, every(1+uint64(n)))
			if err != nil {
				t.Fatal(err)
			}
			was, _ := readSome(t, bytes.NewReader(data), opt, 100)
			is, err := readSome(t, bytes.NewReader(m.b), ReadOptions{}, 100)
			if err != nil {
				t.Fatalf("the copy: %v", err)
			}
			was = was[:min(len(was), 4000)]
			if len(is) != len(was) || got.Frames != uint64(len(is)) {
				t.Fatalf("%d frames became %d, %+v", len(was), len(is), got)
			}
			for i := range was {
				a, b := &was[i], &is[i]
				if a.LinkType != b.LinkType || a.Length != b.Length || a.NoPacket != b.NoPacket || !bytes.Equal(a.Data, b.Data) ||
					a.Time != b.Time && a.Time != 0 {
					t.Fatalf("%+v\nbecame %+v", a, b)
				}
			}
			again, _ := annotate(t, m.b, ReadOptions{}, func(uint64) []string { return nil })
			if !bytes.Equal(again, m.b) {
				t.Fatal("a copy of the copy differs")
			}
		}
	})
}
