package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"testing"
)

// FuzzFile feeds anything to the reader. Whatever it is: no panic, bounded memory, frames
// in order, the same frames however they are asked for and however the bytes come in, and
// for pcapng those that a slow reader sees.
func FuzzFile(f *testing.F) {
	for _, file := range marked() {
		f.Add(file.data)
		for name := range compressors {
			f.Add(compress(f, name, file.data))
		}
	}
	for _, w := range []*pcapWriter{
		{magic: magicNano, big: true},
		{magic: magicModified, extra: make([]byte, 8)},
		{magic: magicIxiaHW},
		{major: 2, minor: 3},
		{network: 249},
	} {
		f.Add(w.file(4))
	}
	f.Add((&snoopWriter{version: 5, surveyor: make([]byte, surveyorTrailer)}).header(18).record(t0sec, 1, radio(payload)).b)
	w := (&ngWriter{}).section()
	w.iface(1, 0, w.option(9, []byte{9}), w.option(14, make([]byte, 8)))
	w.enhanced(0, t0sec*second, payload).block(blockSimple, 3, []byte("abc")).block(blockJournal, []byte("x"))
	f.Add(w.block(blockStatistics, 0, 0, 0, w.option(5, make([]byte, 8))).b)

	f.Fuzz(func(t *testing.T, data []byte) {
		for _, opt := range []ReadOptions{{}, {Resync: true}} {
			frames, err := readSome(t, bytes.NewReader(data), opt, 100)
			checkFrames(t, data, frames, err)
			again, err2 := readSome(t, bytes.NewReader(data), opt, 1)
			if !reflect.DeepEqual(frames, again) || !sameError(err, err2) {
				t.Fatalf("a batch of 1 differs: %d frames, %v; %d frames, %v", len(frames), err, len(again), err2)
			}
			again, err2 = readSome(t, seekable{&chunks{data, 7}}, opt, 100)
			if !reflect.DeepEqual(frames, again) || !sameError(err, err2) {
				t.Fatalf("seven bytes at a time differ: %d frames, %v; %d frames, %v", len(frames), err, len(again), err2)
			}
			if !opt.Resync && bytes.HasPrefix(data, pcapngMagic[:]) {
				slow, clean := slowPcapng(data)
				if !reflect.DeepEqual(frames, slow) || clean != (err == nil) {
					t.Fatalf("%d frames, %v; slowly %d, clean %v\n%+v\n%+v", len(frames), err, len(slow), clean, frames, slow)
				}
			}
		}
	})
}

func sameError(a, b error) bool {
	return (a == nil) == (b == nil) && (a == nil || a.Error() == b.Error())
}

// readSome reads at most a few thousand frames; err is nil at a clean end.
func readSome(t testing.TB, r io.Reader, opt ReadOptions, batch int) (frames []Frame, err error) {
	f, err := NewFile("test", r, opt)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]Frame, batch)
	for len(frames) < 5000 {
		n, err := f.Read(b)
		for _, fr := range b[:n] {
			fr.Data = bytes.Clone(fr.Data)
			frames = append(frames, fr)
		}
		if len(f.w.buf) > windowMax {
			t.Fatalf("a window of %d bytes", len(f.w.buf))
		}
		if err == io.EOF {
			return frames, nil
		}
		if err != nil {
			return frames, err
		}
	}
	return frames[:5000], errors.New("more")
}

// seekable makes a reader look like a regular file, whose bytes are all there.
type seekable struct{ io.Reader }

func (seekable) Seek(int64, int) (int64, error) { return 0, nil }

// slowPcapng reads a pcapng file that is in memory, plainly. clean: to its end.
func slowPcapng(b []byte) (frames []Frame, clean bool) {
	type iface struct {
		link       LinkType
		snaplen    uint32
		resolution int
		offset     int64
	}
	var (
		order  binary.ByteOrder = binary.LittleEndian
		ifaces []iface
		at     int
		none   = true // no section yet
	)
	for ; len(b)-at >= 12; none = false {
		rest := b[at:]
		section := order.Uint32(rest) == blockSection
		if section {
			switch binary.BigEndian.Uint32(rest[8:]) {
			case byteOrderMagic:
				order = binary.BigEndian
			case 0x4d3c2b1a:
				order = binary.LittleEndian
			default:
				return frames, false
			}
		}
		kind, total := order.Uint32(rest), (int(order.Uint32(rest[4:]))+3)/4*4
		least := map[uint32]int{blockSection: 28, blockInterface: 20, blockEnhanced: 32, blockPacket: 32, blockSimple: 16}[kind]
		if total < max(least, 12) || total > len(rest) || none && total > windowMax ||
			(int(order.Uint32(rest[total-4:]))+3)/4*4 != total {
			return frames, false
		}
		body := rest[8 : total-4]
		fr := Frame{Number: uint64(len(frames) + 1), Offset: int64(at)}
		packet := func(i iface, data []byte, captured, length uint32) bool {
			if int(captured) > len(data) || captured > maxPacketOf(i.link) {
				return false
			}
			fr.Data = bytes.Clone(data[:min(captured, maxPacket)])
			fr.Length = max(captured, length)
			fr.LinkType = i.link
			frames = append(frames, fr)
			return true
		}
		switch kind {
		case blockSection:
			if major, minor := order.Uint16(body[4:]), order.Uint16(body[6:]); major != 1 || minor != 0 && minor != 2 {
				return frames, false
			}
			ifaces = nil
		case blockInterface:
			i := iface{LinkType(order.Uint16(body)), order.Uint32(body[4:]), 6, 0}
			for o := body[8:]; len(o) >= 4; {
				code, n := order.Uint16(o), int(order.Uint16(o[2:]))
				if code == 0 || 4+n > len(o) {
					break
				}
				switch v := o[4 : 4+n]; {
				case code == 9 && n == 1:
					i.resolution = int(v[0])
				case code == 14 && n == 8:
					i.offset = int64(order.Uint64(v))
				}
				o = o[min(4+(n+3)/4*4, len(o)):]
			}
			ifaces = append(ifaces, i)
		case blockEnhanced, blockPacket:
			index := int(order.Uint32(body))
			if kind == blockPacket {
				index = int(order.Uint16(body))
			}
			if index >= len(ifaces) {
				return frames, false
			}
			ts := uint64(order.Uint32(body[4:]))<<32 | uint64(order.Uint32(body[8:]))
			fr.Time = slowTime(ifaces[index].resolution, ifaces[index].offset, ts)
			if !packet(ifaces[index], body[20:], order.Uint32(body[12:]), order.Uint32(body[16:])) {
				return frames, false
			}
		case blockSimple:
			if len(ifaces) == 0 {
				return frames, false
			}
			captured := order.Uint32(body)
			if s := ifaces[0].snaplen; s != 0 {
				captured = min(captured, s)
			}
			if !packet(ifaces[0], body[4:], captured, order.Uint32(body)) {
				return frames, false
			}
		case blockJournal, blockCustom, blockCustomKeep, blockSysdig, blockSysdig2, blockSysdig2L:
			fr.NoPacket = true
			frames = append(frames, fr)
		}
		at += total
	}
	return frames, at == len(b) && !none
}

// TestSlowPcapng compares with the slow reader where the fast path is left and entered.
func TestSlowPcapng(t *testing.T) {
	w := (&ngWriter{}).section().iface(1, 0).iface(249, 70)
	for i := range 3000 {
		switch i % 11 {
		case 3:
			w.block(blockSimple, 3, []byte("abc"))
		case 5:
			w.enhanced(1, uint64(i), payload, w.option(1, []byte("a comment")))
		case 7:
			w.big = !w.big
			w.section().iface(1, 0, w.option(9, []byte{byte(i)})).iface(101, 0)
		case 9:
			w.block(blockCustom, i)
		default:
			w.enhanced(i%2, uint64(i)<<20, payload[:i%60])
		}
	}
	got, _, err := readAll(t, w.b, ReadOptions{}, 64)
	want, clean := slowPcapng(w.b)
	if err != nil || !clean || !reflect.DeepEqual(got, want) {
		t.Errorf("%d frames, %v; slowly %d, clean %v", len(got), err, len(want), clean)
	}
}
