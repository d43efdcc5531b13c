package share

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"

	"connrace/capture"
	"connrace/pcaps"
	"connrace/tcpstate"
)

// made makes a copy of a capture.
func made(t testing.TB, in []byte) ([]byte, Result) {
	t.Helper()
	f, err := capture.NewFile("in", bytes.NewReader(in), capture.ReadOptions{})
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	var out bytes.Buffer
	r, err := Copy(context.Background(), &out, f)
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), r
}

// segments are the segments of the frames of a capture, one of no length where there is none.
func segments(t testing.TB, b []byte) (all []tcpstate.Segment) {
	t.Helper()
	f, err := capture.NewFile("capture", bytes.NewReader(b), capture.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d, batch := capture.NewDecoder(), make([]capture.Frame, 16)
	for {
		n, err := f.Read(batch)
		for i := range batch[:n] {
			segs := d.Decode(&batch[i], nil)
			if len(segs) == 0 {
				segs = append(segs, tcpstate.Segment{Frame: batch[i].Number, Time: batch[i].Time})
			}
			for _, s := range segs {
				s.Payload = bytes.Clone(s.Payload)
				if s.ICMP != nil {
					e := *s.ICMP
					s.ICMP = &e
				}
				all = append(all, s)
			}
		}
		if err != nil {
			return all
		}
	}
}

// same fails unless the copy's segments are the capture's, but for addresses and payload.
func same(t testing.TB, name string, in, out []tcpstate.Segment) {
	t.Helper()
	if len(in) != len(out) {
		t.Fatalf("%s: %d frames of %d", name, len(out), len(in))
	}
	addrs := map[tcpstate.Addr]tcpstate.Addr{}
	replaced := func(a, b tcpstate.Addr) {
		if c, ok := addrs[a]; ok && c != b {
			t.Errorf("%s: %v is %v and %v", name, a, b, c)
		}
		addrs[a] = b
	}
	for i := range in {
		a, b := in[i], out[i]
		replaced(a.Src.Addr, b.Src.Addr)
		replaced(a.Dst.Addr, b.Dst.Addr)
		if a.Src.Addr.Is4() != b.Src.Addr.Is4() || a.Src.Addr.Unmap() == a.Src.Addr != (b.Src.Addr.Unmap() == b.Src.Addr) {
			t.Errorf("%s: frame %d: %v became %v", name, a.Frame, a.Src, b.Src)
		}
		if len(a.Payload) != len(b.Payload) {
			t.Errorf("%s: frame %d: %d octets captured, %d in the copy", name, a.Frame, len(a.Payload), len(b.Payload))
		}
		if a.ICMP != nil && b.ICMP != nil {
			replaced(a.ICMP.From, b.ICMP.From)
			a.ICMP.From, b.ICMP.From = tcpstate.Addr{}, tcpstate.Addr{}
			if *a.ICMP != *b.ICMP {
				t.Errorf("%s: frame %d: %+v became %+v", name, a.Frame, a.ICMP, b.ICMP)
			}
		} else if (a.ICMP == nil) != (b.ICMP == nil) {
			t.Errorf("%s: frame %d: %+v became %+v", name, a.Frame, a.ICMP, b.ICMP)
		}
		for _, s := range []*tcpstate.Segment{&a, &b} {
			s.Src.Addr, s.Dst.Addr, s.Payload, s.ICMP = tcpstate.Addr{}, tcpstate.Addr{}, nil, nil
			if s.Quoted || s.NoLength || s.Bogus {
				s.Options = false
			}
			if s.Unnumbered {
				s.IPID = 0
			}
		}
		if fmt.Sprint(a) != fmt.Sprint(b) {
			t.Errorf("%s: frame %d is\n%+v\nin the copy\n%+v", name, a.Frame, a, b)
		}
	}
}

func TestSegmentsStay(t *testing.T) {
	corpus, err := pcaps.Corpus()
	if err != nil {
		t.Fatal(err)
	}
	check := func(name string, b []byte) {
		out, _ := made(t, b)
		same(t, name, segments(t, b), segments(t, out))
	}
	for i, s := range corpus {
		if i%4 != 0 && !strings.Contains(s.Name, "icmp") { // the command's test of findings takes them all
			continue
		}
		var b bytes.Buffer
		if err := s.WritePCAP(&b, pcaps.FileFormat{}); err != nil {
			t.Fatal(err)
		}
		check(s.Name, b.Bytes())
	}
	reals, err := pcaps.Reals()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range reals {
		b, err := pcaps.File(r.File)
		if err != nil {
			t.Fatal(err)
		}
		check(r.File, b)
	}
}

// TestNothingLeaks plants octets in every place of a capture, and looks for them in its copy.
func TestNothingLeaks(t *testing.T) {
	for name, say := range streams() {
		r := rand.New(rand.NewPCG(1, 2))
		for _, size := range []int{1 << 16, 448, 64, 9, 5, 1} {
			frames := cut(say, size, size%2 == 0)
			try := func(how string, frames [][]byte) {
				in := write(t, frames)
				out, _ := made(t, in)
				what := fmt.Sprintf("%s, %s, %d octets a segment", name, how, size)
				leaks(t, what, out)
				same(t, what, segments(t, in), segments(t, out))
			}
			try("in order", frames)
			if len(frames) > 200 {
				continue
			}
			try("from the middle", frames[len(frames)/3:])
			shuffled := append([][]byte(nil), frames...)
			r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			try("out of order", shuffled)
			var twice, holes, short [][]byte
			for i, f := range frames {
				if twice = append(twice, f); i > 2 && r.IntN(3) == 0 {
					twice = append(twice, frames[i-r.IntN(3)])
				}
				if r.IntN(8) > 0 {
					holes = append(holes, f)
				}
				short = append(short, f[:len(f)-r.IntN(len(f)-54)])
			}
			try("sent again", twice)
			try("with holes", holes)
			try("cut off", short)
			for start := 1; start < min(size, 40); start += 6 { // from within a message
				try("from within", cut([2][]byte{say[0][min(start, len(say[0])):], say[1][min(start, len(say[1])):]}, size, false))
			}
		}
	}
}

// TestNamesOfHTTP2: no string of a header block is one that was planted, and what is known stays.
func TestNamesOfHTTP2(t *testing.T) {
	out, _ := made(t, write(t, cut(streams()["HTTP/2"], 1448, true)))
	var got []string
	var blocks [2]*hpack.Decoder
	for i := range blocks {
		blocks[i] = hpack.NewDecoder(4096, func(f hpack.HeaderField) {
			got = append(got, f.Name+": "+f.Value)
			leaks(t, "a field", []byte(f.Name+": "+f.Value))
		})
	}
	for _, s := range segments(t, out) {
		b, i := s.Payload, 0
		if s.Src.Port == 8080 {
			i = 1
		}
		b = bytes.TrimPrefix(b, []byte(preface))
		for len(b) >= frameHead {
			n, typ, flags := frameLength(b), b[3], b[4]
			p := b[frameHead : frameHead+n]
			if typ == frameHeaders || typ == frameContinuation {
				if flags&flagPadded != 0 && typ == frameHeaders {
					p = p[1 : len(p)-int(p[0])]
				}
				if _, err := blocks[i].Write(p); err != nil {
					t.Errorf("frame %d: %v", s.Frame, err)
				}
				if flags&flagEndHeaders != 0 {
					if err := blocks[i].Close(); err != nil {
						t.Errorf("frame %d: %v", s.Frame, err)
					}
				}
			}
			b = b[frameHead+n:]
		}
	}
	text := strings.Join(got, "\n")
	for _, want := range []string{":method: POST", ":path: /", ":status: 503", "authorization: ", "cookie: "} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q in\n%s", want, text)
		}
	}
	if n := strings.Count(text, ":path: /"); n != 2 {
		t.Errorf("%d paths, not 2", n)
	}
}

// TestAddresses: each address has one replacement, of its kind, that is no other's.
func TestAddresses(t *testing.T) {
	k, err := newSecret()
	if err != nil {
		t.Fatal(err)
	}
	used := map[tcpstate.Addr]netip.Addr{}
	for _, prefix := range []string{"10.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12", "100.64.0.0/10", "169.254.0.0/16", "8.0.0.0/8", "fe80::/10", "fd00::/8", "2001:db8::/32", "ff02::/16"} {
		p := netip.MustParsePrefix(prefix)
		a := p.Addr()
		for range 1000 {
			a = a.Next()
			b := k.addr(tcpstate.AddrFrom(a))
			if c, ok := used[b]; ok && c != a {
				t.Errorf("%v and %v both become %v", a, c, b)
			}
			used[b] = a
			n := b.Netip()
			if n.Is4() != a.Is4() || n.IsPrivate() != a.IsPrivate() || n.IsLinkLocalUnicast() != a.IsLinkLocalUnicast() || n.IsMulticast() != a.IsMulticast() || n.IsLoopback() {
				t.Errorf("%v becomes %v", a, n)
			}
		}
	}
	mapped := tcpstate.AddrFrom(netip.MustParseAddr("::ffff:10.1.2.3"))
	if b := k.addr(mapped); b.Is4() || b.Unmap() != k.addr(mapped.Unmap()) {
		t.Errorf("%v becomes %v", mapped, b)
	}
}

// FuzzCopy copies frames with any payload: segments stay, and what was planted goes.
func FuzzCopy(f *testing.F) {
	for _, say := range streams() {
		f.Add(say[0], say[1], uint16(90), uint16(20))
	}
	f.Fuzz(func(t *testing.T, a, b []byte, size, at uint16) {
		if len(a)+len(b) > 1<<14 || size == 0 {
			t.Skip()
		}
		for _, s := range [][]byte{a, b} {
			for i := 0; i+3 <= len(planted); i++ {
				if bytes.Contains(s, []byte(planted[i:i+3])) {
					return // only whole ones are planted
				}
			}
		}
		at %= uint16(min(len(a)+1, 1<<15))
		a = bytes.Join([][]byte{a[:at], []byte(planted), a[at:]}, nil)
		in := write(t, cut([2][]byte{a, b}, int(size), size%2 == 0))
		out, _ := made(t, in)
		same(t, "fuzz", segments(t, in), segments(t, out))
	})
}

func TestDamage(t *testing.T) {
	b, err := pcaps.File("crowder.pcap")
	if err != nil {
		t.Fatal(err)
	}
	out, r := made(t, b[:len(b)-5])
	var d *capture.DamageError
	if !errors.As(r.Damage, &d) || r.Frames != 290 || len(segments(t, out)) != 290 {
		t.Errorf("%+v", r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	file, err := capture.NewFile("in", bytes.NewReader(b), capture.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Copy(ctx, io.Discard, file); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
