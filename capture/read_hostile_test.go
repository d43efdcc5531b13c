package capture

import (
	"bytes"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
)

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
		{"4 GB packet", bytes.NewReader((&pcapWriter{}).header().u32(t0sec, 1, math.MaxUint32, math.MaxUint32).b), ReadOptions{}, 0, "4294967295"},
		{"128 MB packet of a link type that may", bytes.NewReader((&pcapWriter{network: 249}).header().u32(t0sec, 1, 128<<20, 128<<20).b), ReadOptions{}, 0, "cut off"},
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
	for _, tt := range []struct{ content, want string }{
		{"", "empty, not a capture file"},
		{"hello world, this is text\n", `not a capture file (starts with "hello worl…"); expected pcap or pcapng`},
		{"hi\n", `not a capture file (starts with "hi\n"); expected pcap or pcapng`},
		{"\x7fELF\x02\x01\x01\x00\x00\x00", "not a capture file (starts with 7f 45 4c 46 02 01 01 00); expected pcap or pcapng"},
		{"RTSS\x00\x00\x00\x00\x00\x00\x02", "a Network Monitor capture; expected pcap or pcapng (try: editcap -F pcap FILE FILE.pcap)"},
		{"snoop\x00\x00\x00\x00\x00\x00\x02", "cut off in the file header: 12 bytes of 16"},
		{"snoop\x00\x00\x00\x00\x00\x00\x06\x00\x00\x00\x04", "snoop version 6 is not supported"},
		{"snoop\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x05", "snoop network type 5 is not supported"},
		{"PK\x03\x04..........", "a zip archive; expected pcap or pcapng (try: unzip FILE)"},
		{"\n\n\n\x1c\x00\x00\x00\x4d", "a pcapng file that went through a text-mode transfer; expected pcap or pcapng (copy it again in binary mode)"},
		{"btsnoop\x00\x00\x00", "a btsnoop (Bluetooth) log; expected pcap or pcapng"},
		{"\xd4\xc3\xb2\xa1\x02\x00\x04", "cut off in the file header: 7 bytes of 24"},
		{"\xd4\xc3\xb2", "not a capture file (starts with d4 c3 b2); expected pcap or pcapng"},
		{"\n\r\r\n\x1c\x00\x00\x00", "cut off in the file header: 8 bytes of 28"},
		{string((&pcapWriter{major: 1, minor: 4}).header().b), "pcap version 1.4 is not supported"},
		{string((&pcapWriter{network: 0x00300001}).header().b), "reserved bits of the link type are set (0x300001)"},
		{string((&pcapWriter{network: 281}).header().b), "link type 281: neither Wireshark 4.0 nor connrace can read it"},
		{string((&ngWriter{}).block(blockSection, uint32(byteOrderMagic), uint16(2), uint16(0), uint64(0)).b), "pcapng version 2.0 is not supported"},
		{"\n\r\r\n\x1c\x00\x00\x00\x01\x02\x03\x04" + strings.Repeat("\x00", 20), "damaged: a section header without byte-order magic"},
		{"\n\r\r\n\xf0\xff\xff\x07\x4d\x3c\x2b\x1a" + strings.Repeat("\x00", 20), "a section header of 134217712 bytes"},
	} {
		const path = "a/x"
		f, err := NewFile(path, strings.NewReader(tt.content), ReadOptions{})
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
}
