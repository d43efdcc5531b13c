package capture

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// marked returns small files and where in them records end, the file header included.
func marked() map[string]struct {
	data   []byte
	ends   []int
	frames []int // frames complete at each end
} {
	p := (&pcapWriter{}).header()
	n := (&ngWriter{}).section()
	type file = struct {
		data   []byte
		ends   []int
		frames []int
	}
	var pf, nf, sf file
	s := &snoopWriter{}
	sf.ends, sf.frames = []int{snoopHeaderLen}, []int{0}
	pf.ends, pf.frames = []int{len(p.b)}, []int{0}
	nf.ends, nf.frames = []int{len(n.b)}, []int{0}
	mark := func(f *file, end, frames int) {
		f.ends = append(f.ends, end)
		f.frames = append(f.frames, frames)
	}
	n.iface(1, 0)
	mark(&nf, len(n.b), 0)
	s.header(4)
	for i := range 4 {
		s.record(t0sec, uint32(i), payload)
		mark(&sf, len(s.b), i+1)
		p.record(t0sec, uint32(i), payload)
		mark(&pf, len(p.b), i+1)
	}
	n.enhanced(0, t0sec, payload)
	mark(&nf, len(n.b), 1)
	n.block(blockNames, 0)
	mark(&nf, len(n.b), 1)
	n.block(blockSimple, 5, []byte("12345"))
	mark(&nf, len(n.b), 2)
	n.big = true
	n.section()
	mark(&nf, len(n.b), 2)
	n.iface(1, 0)
	mark(&nf, len(n.b), 2)
	n.enhanced(0, t0sec, payload)
	mark(&nf, len(n.b), 3)
	pf.data, nf.data, sf.data = p.b, n.b, s.b
	return map[string]file{"pcap": pf, "pcapng": nf}
}

// TestCutOff cuts files at every byte: what is whole is delivered, then the error says
// where the rest begins.
func TestCutOff(t *testing.T) {
	for name, f := range marked() {
		all, _, err := readAll(t, f.data, ReadOptions{}, 10)
		if err != nil {
			t.Fatal(name, err)
		}
		for _, opt := range []ReadOptions{{}, {Resync: true}} {
			for cut := range len(f.data) + 1 {
				frames, info, err := readAll(t, f.data[:cut], opt, 3)
				last, exact := slices.BinarySearch(f.ends, cut)
				if !exact {
					last--
				}
				if last < 0 { // within the file header
					if err == nil || len(frames) > 0 || strings.Contains(err.Error(), "\n") {
						t.Fatalf("%s cut to %d: %d frames, %v", name, cut, len(frames), err)
					}
					continue
				}
				if n := f.frames[last]; len(frames) != n || !reflect.DeepEqual(frames, all[:n:n]) && n > 0 {
					t.Fatalf("%s cut to %d: %d frames, want %d", name, cut, len(frames), n)
				}
				if exact {
					if err != nil {
						t.Fatalf("%s cut to %d: %v", name, cut, err)
					}
					continue
				}
				var d *DamageError
				if !errors.As(err, &d) || !errors.Is(err, io.ErrUnexpectedEOF) ||
					d.Offset != int64(f.ends[last]) || d.Frame != uint64(len(frames)+1) || d.File != "test" {
					t.Fatalf("%s cut to %d: %#v", name, cut, err)
				}
				if info.GapCount != 0 {
					t.Fatalf("%s cut to %d: gaps %v", name, cut, info.Gaps)
				}
			}
		}
	}
}

// TestCorruption puts every byte to several values. Frames before the damage are as they
// were, numbers ascend, and the error is sane.
func TestCorruption(t *testing.T) {
	for name, f := range marked() {
		all, _, err := readAll(t, f.data, ReadOptions{}, 10)
		if err != nil {
			t.Fatal(name, err)
		}
		data := bytes.Clone(f.data)
		for i := range data {
			for _, x := range []byte{0, 1, 0x7f, 0xff, f.data[i] ^ 0x80, f.data[i] + 1} {
				data[i] = x
				for _, opt := range []ReadOptions{{}, {Resync: true}} {
					frames, _, err := readAll(t, data, opt, 3)
					checkFrames(t, data, frames, err)
					last, exact := slices.BinarySearch(f.ends, i)
					if !exact {
						last--
					}
					if last < 0 {
						continue
					}
					if n := f.frames[last]; len(frames) < n || n > 0 && !reflect.DeepEqual(frames[:n:n], all[:n:n]) {
						t.Fatalf("%s: byte %d set to %#x: %d frames, the first %d are not as before", name, i, x, len(frames), n)
					}
				}
			}
			data[i] = f.data[i]
		}
	}
}

// checkFrames checks what holds for any input.
func checkFrames(t testing.TB, data []byte, frames []Frame, err error) {
	t.Helper()
	for i, fr := range frames {
		if fr.Number != uint64(i+1) {
			t.Fatalf("frame %d has number %d", i+1, fr.Number)
		}
		if uint64(len(fr.Data)) > uint64(fr.Length) || len(fr.Data) > maxPacket {
			t.Fatalf("frame %d has %d bytes of %d", i+1, len(fr.Data), fr.Length)
		}
		if fr.NoPacket && fr.Data != nil {
			t.Fatalf("frame %d is no packet but has data", i+1)
		}
		if fr.Offset < 0 || i > 0 && fr.Offset <= frames[i-1].Offset {
			t.Fatalf("frame %d at offset %d", i+1, fr.Offset)
		}
	}
	var d *DamageError
	if errors.As(err, &d) {
		if d.Frame != uint64(len(frames)+1) || d.Offset < 0 || d.Reason == "" || d.File == "" {
			t.Fatalf("error %#v behind %d frames", d, len(frames))
		}
		if len(frames) > 0 && d.Offset <= frames[len(frames)-1].Offset {
			t.Fatalf("error at %d, a frame at %d", d.Offset, frames[len(frames)-1].Offset)
		}
	}
	if err != nil && strings.Contains(err.Error(), "\n") {
		t.Fatalf("error of several lines: %q", err)
	}
}

// TestResync damages record 50 of 100 in the ways files get damaged.
func TestResync(t *testing.T) {
	const before = 50
	pcap := func() (head, bad, tail []byte) {
		w := (&pcapWriter{}).header()
		for i := range 100 {
			switch i {
			case before:
				head, w.b = w.b, nil
			case before + 1:
				bad, w.b = w.b, nil
			}
			w.record(t0sec+uint32(i)*100, uint32(i), payload)
		}
		return head, bad, w.b
	}
	ng := func() (head, bad, tail []byte) {
		w := (&ngWriter{}).section().iface(1, 0)
		for i := range 100 {
			switch i {
			case before:
				head, w.b = w.b, nil
			case before + 1:
				bad, w.b = w.b, nil
			}
			w.enhanced(0, t0sec*1_000_000+uint64(i), payload)
		}
		return head, bad, w.b
	}
	snoop := func() (head, bad, tail []byte) {
		w := (&snoopWriter{}).header(4)
		for i := range 100 {
			switch i {
			case before:
				head, w.b = w.b, nil
			case before + 1:
				bad, w.b = w.b, nil
			}
			w.record(t0sec+uint32(i)*100, uint32(i), payload)
		}
		return head, bad, w.b
	}
	random := rand.NewChaCha8([32]byte{})
	noise := make([]byte, 3_000_000)
	random.Read(noise)
	set := func(b []byte, at int, v ...byte) []byte {
		b = bytes.Clone(b)
		copy(b[at:], v)
		return b
	}
	for _, tt := range []struct {
		name  string
		build func() (head, bad, tail []byte)
		harm  func(bad []byte) []byte // of record 50
		lost  int                     // frames
		added int                     // frames that the harm makes
	}{
		{"pcap: length of 4 GB", pcap, func(b []byte) []byte { return set(b, 8, 0xff, 0xff, 0xff, 0xff) }, 1, 0},
		{"pcap: a hole of zeros", pcap, func([]byte) []byte { return make([]byte, 8192) }, 1, 0},
		{"pcap: a large hole of zeros", pcap, func([]byte) []byte { return make([]byte, 3_000_000) }, 1, 0},
		{"pcap: a block of noise", pcap, func([]byte) []byte { return set(noise, 8, 0xff, 0xff, 0xff, 0xff) }, 1, 0},
		{"pcap: bytes lost within a packet", pcap, func(b []byte) []byte { return b[:40] }, 1, 1},
		{"pcap: bytes lost within a header", pcap, func(b []byte) []byte { return b[:7] }, 2, 1},
		{"pcap: a wrong length and no record behind it", pcap, func(b []byte) []byte {
			return set(b, 8, 30, 0, 0, 0) // the next header is in the packet
		}, 1, 1},
		{"pcap: a wrong time on top", pcap, func(b []byte) []byte {
			return set(b, 0, 1, 2, 3, 4, 0, 0, 0, 0, 30, 0, 0, 0)
		}, 1, 1},
		{"snoop: length of 4 GB", snoop, func(b []byte) []byte { return set(b, 4, 0xff, 0xff, 0xff, 0xff) }, 1, 0},
		{"snoop: a record shorter than its packet", snoop, func(b []byte) []byte { return set(b, 8, 0, 0, 0, 60) }, 1, 0},
		{"snoop: a hole of zeros", snoop, func([]byte) []byte { return make([]byte, 8192) }, 1, 0},
		{"snoop: a block of noise", snoop, func([]byte) []byte { return set(noise, 4, 0xff, 0xff, 0xff, 0xff) }, 1, 0},
		{"snoop: bytes lost within a packet", snoop, func(b []byte) []byte { return b[:40] }, 1, 1},
		{"pcapng: length of 4 GB", ng, func(b []byte) []byte { return set(b, 4, 0xfc, 0xff, 0xff, 0xff) }, 1, 0},
		{"pcapng: lengths differ", ng, func(b []byte) []byte { return set(b, len(b)-4, 0) }, 1, 0},
		{"pcapng: no such interface", ng, func(b []byte) []byte { return set(b, 8, 7) }, 1, 0},
		{"pcapng: a hole of zeros", ng, func([]byte) []byte { return make([]byte, 8192) }, 1, 0},
		{"pcapng: a block of noise", ng, func([]byte) []byte { return noise }, 1, 0},
		{"pcapng: bytes lost, alignment too", ng, func(b []byte) []byte { return b[:41] }, 1, 0},
		{"pcapng: a huge block that is not there", ng, func([]byte) []byte { return (&ngWriter{}).words(nil, 0x7777, 100<<20) }, 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			head, bad, tail := tt.build()
			clean, _, err := readAll(t, slices.Concat(head, bad, tail), ReadOptions{Resync: true}, 7)
			if err != nil || len(clean) != 100 {
				t.Fatalf("undamaged: %d frames, %v", len(clean), err)
			}
			harmed := tt.harm(bad)
			data := slices.Concat(head, harmed, tail)
			frames, _, err := readAll(t, data, ReadOptions{}, 7)
			var d *DamageError
			zeros := strings.Contains(tt.name, "pcap: ") && harmed[0] == 0 // empty packets, as wiretap reads them
			if tt.added == 0 && !zeros && (!errors.As(err, &d) || len(frames) != before || d.Offset != int64(len(head))) {
				t.Errorf("without Resync: %d frames, %v", len(frames), err)
			}
			frames, info, err := readAll(t, data, ReadOptions{Resync: true}, 7)
			if err != nil {
				t.Fatal(err)
			}
			checkFrames(t, data, frames, nil)
			if want := 100 - tt.lost + tt.added; len(frames) < want-2 || len(frames) > want {
				t.Fatalf("%d frames, want about %d", len(frames), want)
			}
			// The last frames are the last of the undamaged file.
			for i := range 40 {
				got, want := frames[len(frames)-1-i], clean[len(clean)-1-i]
				if got.Time != want.Time || !bytes.Equal(got.Data, want.Data) {
					t.Fatalf("frame %d from the end differs", i+1)
				}
			}
			if info.GapCount != 1 || len(info.Gaps) != 1 || len(info.Warnings) != 1 {
				t.Fatalf("info %+v", info)
			}
			gap := info.Gaps[0]
			if gap.After < before || gap.After > before+1 || gap.Offset < int64(len(head)) || gap.Bytes != info.GapBytes || gap.Reason == "" {
				t.Errorf("gap %+v behind %d bytes", gap, len(head))
			}
			for i, f := range frames {
				if f.AfterGap != (uint64(i) == gap.After) {
					t.Errorf("frame %d: AfterGap %v; gap %+v", f.Number, f.AfterGap, gap)
				}
			}
			if after := frames[gap.After]; gap.Offset+gap.Bytes != after.Offset {
				t.Errorf("gap %+v, but the next frame is at %d", gap, after.Offset)
			}
		})
	}
}

// TestResyncAtEnd: behind the damage there is nothing to go on with.
func TestResyncAtEnd(t *testing.T) {
	w := &pcapWriter{}
	w.file(10)
	data := append(w.b, bytes.Repeat([]byte{0xff}, 5_000_000)...)
	frames, info, err := readAll(t, data, ReadOptions{Resync: true}, 100)
	var d *DamageError
	if len(frames) != 10 || !errors.As(err, &d) || d.Offset != int64(len(data)-5_000_000) || info.GapCount != 0 {
		t.Errorf("%d frames, %v, %+v", len(frames), err, info)
	}
}

// TestManyGaps: a file of nothing but damage does not fill Info.
func TestManyGaps(t *testing.T) {
	w := (&ngWriter{}).section().iface(1, 0)
	const n = 5000
	for range n {
		w.enhanced(0, t0sec, payload).enhanced(0, t0sec, payload).enhanced(0, t0sec, payload)
		w.b = append(w.b, "damage"...)
	}
	frames, info, err := readAll(t, w.b, ReadOptions{Resync: true}, 100)
	if len(frames) != 3*n || err == nil || info.GapCount != n-1 || len(info.Gaps) != maxGaps || info.GapBytes != 6*(n-1) {
		t.Errorf("%d frames, %v, %d gaps of %d bytes, %d kept", len(frames), err, info.GapCount, info.GapBytes, len(info.Gaps))
	}
}
