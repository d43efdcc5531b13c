package framing

import (
	"slices"
	"strings"
	"testing"
)

// record makes a TLS record of n octets behind its header.
func record(typ byte, n int) string {
	return string([]byte{typ, 3, 3, byte(n >> 8), byte(n)}) + strings.Repeat("\xaa", n)
}

func TestTLS(t *testing.T) {
	hello := record(recordHandshake, 200)
	ccs := record(recordCCS, 1)
	tests := []struct {
		name  string
		feed  func(p *probe, size int)
		want  string
		whole bool // segments are as given
	}{
		{
			name: "TLS 1.2",
			feed: func(p *probe, size int) {
				p.segments(Requests, hello, size)
				p.segments(Answers, record(recordHandshake, 3000), size)
				p.segments(Requests, record(recordHandshake, 70)+ccs+record(recordHandshake, 40), size)
				p.segments(Answers, ccs+record(recordHandshake, 40), size)
				p.segments(Requests, record(recordData, 100)+record(recordAlert, 26), size)
				p.segments(Answers, record(recordData, 16400), size)
			},
			want: "q0 setup, a0 setup, q205 setup, q280 setup, q286 setup, a3005 setup, a3011 setup, " +
				"q331 data, q436 closing, a3056 data",
		},
		{
			// RFC 8446 §4, §D.4: all that is encrypted looks like application data.
			name: "TLS 1.3",
			feed: func(p *probe, size int) {
				p.segments(Requests, hello, size)
				p.segments(Answers, record(recordHandshake, 122)+ccs+record(recordData, 1100)+record(recordData, 250), size)
				p.segments(Requests, ccs+record(recordData, 53)+record(recordData, 100), size)
				p.segments(Answers, record(recordData, 300)+record(recordData, alertLen13), size)
			},
			want: "q0 setup, a0 setup, a127 setup, a133 setup, a1238 setup, q205 setup, q211 setup, q269 data, " +
				"a1493 data, a1798 closing",
		},
		{
			name: "TLS 1.3 with a client certificate",
			feed: func(p *probe, size int) {
				p.segments(Requests, hello, size)
				p.segments(Requests, ccs+record(recordData, 900)+record(recordData, 69), size)
			},
			want: "q0 setup, q205 setup, q211 data, q1116 data",
		},
		{
			name: "no record",
			feed: func(p *probe, size int) {
				p.segments(Requests, hello+"GET / HTTP/1.1\r\n\r\n", size)
			},
			want:  "q0 setup, q205 lost",
			whole: true,
		},
		{
			name: "record too long",
			feed: func(p *probe, size int) {
				p.segments(Requests, hello+record(recordData, recordMax+1), size)
			},
			want:  "q0 setup, q205 lost",
			whole: true,
		},
		{
			name: "octets missing",
			feed: func(p *probe, _ int) {
				p.segment(Requests, []byte(hello))
				p.feed(Requests, []byte(record(recordData, 1000)[:40]), 1005) // snap length
				p.segment(Requests, []byte(record(recordData, 1000)[:500]))
				p.feed(Requests, nil, 505) // up to the record's end
				p.segment(Requests, []byte(record(recordData, 1000)[:500]))
				p.feed(Requests, nil, 506) // beyond it
				p.segment(Requests, []byte("\x03\x03\xff"))
				p.segment(Requests, []byte(record(recordData, 3)))
				p.feed(Requests, []byte(record(recordData, 30)[:4]), 35)
			},
			want:  "q0 setup, q205 data, q1210 data, q2215 data, q3220 lost, q3224 data, q3236 lost",
			whole: true,
		},
		{
			name: "mid-stream",
			feed: func(p *probe, _ int) {
				p.segment(Answers, []byte("\x17\x03\x03\xff\xff"))
				p.segment(Answers, []byte("\xaa\xbb"))
				p.segment(Answers, []byte(record(recordData, 50)[:10]))
				p.segment(Requests, []byte("\xaa\xbb\xcc\xdd\xee"))
				p.segment(Requests, []byte(record(recordData, 50)))
				p.segment(Answers, []byte(record(recordData, 50)[10:]+record(recordData, 60)))
			},
			want:  "a7 data, q0 lost, q5 data, a62 data",
			whole: true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, size := range []int{1 << 20, 1000, 7, 5, 4, 3, 2, 1} {
				if tt.whole && size < 1<<20 {
					break
				}
				var p probe
				p.proto = TLS // a header in pieces is none to recognise TLS by
				p.dir[Requests].state, p.dir[Answers].state = unitHeader, unitHeader
				if tt.whole {
					p = probe{}
				}
				tt.feed(&p, size)
				if got := p.String(); got != tt.want {
					t.Errorf("in segments of %d octets\ngot  %s\nwant %s", size, got, tt.want)
				}
			}
		})
	}
}

// TestTLSInside: what a segment's first octet belongs to.
func TestTLSInside(t *testing.T) {
	for _, tt := range []struct {
		typ  byte
		want Kind
	}{
		{recordHandshake, SetupBegins}, {recordAlert, ClosingBegins}, {recordData, DataBegins},
	} {
		var p probe
		r := record(tt.typ, 100)
		p.segment(Requests, []byte(r[:50]))
		if got := p.Inside(Requests); got != tt.want {
			t.Errorf("record type %d: inside %d, want %d", tt.typ, got, tt.want)
		}
		p.segment(Requests, []byte(r[50:]))
		if got := p.Inside(Requests); got != None {
			t.Errorf("behind record type %d: inside %d", tt.typ, got)
		}
	}
}

// FuzzTLS: records in segments of any sizes are the same records.
func FuzzTLS(f *testing.F) {
	f.Add([]byte(record(recordHandshake, 20)+record(recordData, 19)), []byte{1, 4, 9})
	f.Add([]byte("\x17\x03\x03\x00\x02ab\x15\x03\x03\x00\x02\x01\x00\x16\x03"), []byte{2})
	f.Fuzz(func(t *testing.T, b, cuts []byte) {
		run := func(cuts []byte) *probe {
			var p probe
			p.proto = TLS
			p.dir[Requests].state = unitHeader
			feedCut(&p, Requests, b, cuts)
			return &p
		}
		p, q := run(nil), run(cuts)
		want, lost := p.untilLost()
		if got, _ := q.untilLost(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if !lost && p.dir[Requests].left != q.dir[Requests].left {
			t.Errorf("%d octets left, want %d", q.dir[Requests].left, p.dir[Requests].left)
		}
	})
}

// untilLost is the log before the first loss of sync: what follows it depends on where
// segments begin. Messages of which nothing but the first octets came are left out too:
// whether they can begin one may depend on what the segment shows of the line.
func (p *probe) untilLost() (log string, lost bool) {
	n := slices.IndexFunc(p.log, func(l string) bool { return strings.HasSuffix(l, "lost") })
	if lost = n >= 0; !lost {
		n = len(p.log)
	}
	for n > 0 && strings.HasSuffix(p.log[n-1], "begins") {
		n--
	}
	return strings.Join(p.log[:n], ", "), lost
}

// feedCut feeds b in segments whose sizes are those of cuts, the last as long as it takes.
func feedCut(p *probe, s Side, b, cuts []byte) {
	for len(b) > 0 {
		n := len(b)
		if len(cuts) > 0 {
			n = min(n, int(cuts[0])+1)
			cuts = cuts[1:]
		}
		p.segment(s, b[:n])
		b = b[n:]
	}
}
