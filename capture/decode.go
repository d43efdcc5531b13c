package capture

import (
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/google/gopacket/layers"

	"connrace/tcpstate"
)

// Decoder finds the TCP segments in frames. It reads headers the way Wireshark 4.0 does
// with its default preferences, so that stream numbers come out alike: ports and types
// choose the next protocol, fragments are put together, what a snapshot length cut off is
// counted by the lengths that headers state.
//
// A Decoder belongs to one goroutine. It holds incomplete datagrams from frame to frame,
// so frames must come in the order of the capture.
type Decoder struct {
	frame  *Frame
	segs   []tcpstate.Segment
	outer  enclosing
	why    reason
	reasms reassembly
	socks  socks

	skipped [reasons]uint64
	unknown map[LinkType]uint64 // frames of link types that are not decoded

	// Reused for every packet, so that decoding leaves no garbage behind.
	eth layers.Ethernet
	tag layers.Dot1Q
	llc layers.LLC
	ip4 layers.IPv4
	udp layers.UDP
	tcp layers.TCP
	hdr [tcpFixed]byte

	noting  bool     // options, for DecodeOptions
	options [][]byte // of the segments of this frame
}

// enclosing is what the headers read so far mean for the ones inside them.
type enclosing struct {
	src, dst tcpstate.Addr // of the innermost IP header
	ipID     uint16
	ttl      uint8
	vlan     uint16 // of the outermost tag with a VLAN; 0: none
	depth    int
	fragment bool // of a datagram that is not whole: nothing says how long the segment is
	excerpt  bool // only the beginning of a packet (ICMP error, sFlow sample): the length is unknown too
	quoted   bool // inside an ICMP error
	icmp     *tcpstate.ICMPError
	inflated bool // it was compressed
	// fragLen is how many bytes behind an IPv6 fragment header belong to the fragment;
	// 0 where the enclosing header does not say (jumbograms, none at all).
	fragLen int
}

// maxDepth bounds how many headers may be nested: PINFO_LAYER_MAX_RECURSION of
// Wireshark's epan/packet.h.
const maxDepth = 500

// NewDecoder returns a Decoder for the frames of one capture.
func NewDecoder() *Decoder {
	return &Decoder{unknown: make(map[LinkType]uint64)}
}

// Decode appends the TCP segments of f to segs in the order in which Wireshark numbers
// them: none for most other traffic, one for a segment, more where a frame carries several
// packets. Payloads are part of f.Data, except those of reassembled datagrams.
func (d *Decoder) Decode(f *Frame, segs []tcpstate.Segment) []tcpstate.Segment {
	if n := len(segs); n < cap(segs) && peek(f, &segs[:n+1][n]) {
		return segs[:n+1]
	}
	return d.headers(f, segs)
}

// DecodeAll is Decode for frames that follow one another.
func (d *Decoder) DecodeAll(frames []Frame, segs []tcpstate.Segment) []tcpstate.Segment {
	for len(frames) > 0 {
		n := len(segs)
		segs = slices.Grow(segs, len(frames))
		k := peekAll(frames, segs[n:n+len(frames)])
		if segs, frames = segs[:n+k], frames[k:]; len(frames) > 0 {
			segs, frames = d.headers(&frames[0], segs), frames[1:]
		}
	}
	return segs
}

// peekAll is peek for frames that follow one another, up to the first for which that is false. There
// is a segment for each.
func peekAll(frames []Frame, segs []tcpstate.Segment) int {
	segs = segs[:len(frames)]
	for i := range frames {
		if !peek(&frames[i], &segs[i]) {
			return i
		}
	}
	return len(frames)
}

// DecodeOptions is Decode, and returns for each segment that it appends what was captured of its TCP
// options, valid as long as f.Data is. It is slower.
func (d *Decoder) DecodeOptions(f *Frame, segs []tcpstate.Segment) (_ []tcpstate.Segment, options [][]byte) {
	d.noting, d.options = true, d.options[:0]
	segs = d.headers(f, segs)
	d.noting = false
	return segs, d.options
}

// note notes the options of the segment that was appended last.
func (d *Decoder) note(options []byte) {
	if d.noting {
		d.options = append(d.options, options)
	}
}

// headers is Decode for all frames, header by header.
func (d *Decoder) headers(f *Frame, segs []tcpstate.Segment) []tcpstate.Segment {
	d.frame, d.segs = f, segs
	d.outer = enclosing{}
	d.why = notIP
	if f.NoPacket {
		d.why = noPacket
	} else {
		d.link(f.LinkType, view{f.Data, max(int(f.Length), len(f.Data))})
	}
	if len(d.segs) == len(segs) {
		d.skip()
	}
	segs = d.segs
	d.frame, d.segs = nil, nil
	return segs
}

// Remembers reports whether frames came so far that decide how later ones are decoded: fragments,
// handshakes of SOCKS. Else a Decoder that sees only a part of the capture finds the same segments.
func (d *Decoder) Remembers() bool { return d.reasms.held != nil || d.socks.proxied != nil }

// deeper counts a nested header; false when there are too many.
func (d *Decoder) deeper() bool {
	d.outer.depth++
	if d.outer.depth > maxDepth {
		d.why = tooDeep
		return false
	}
	return true
}

// view is a part of a packet: the bytes of it that were captured, and its length on the wire.
type view struct {
	b    []byte
	wire int // never less than len(b)
}

// from returns the view without its first n bytes; false if fewer were captured.
func (o view) from(n int) (view, bool) {
	if n < 0 || n > len(o.b) {
		return view{}, false
	}
	return view{o.b[n:], o.wire - n}, true
}

// first returns the first n bytes of the view, without padding and trailers.
func (o view) first(n int) view {
	if n >= o.wire {
		return o
	}
	return view{o.b[:min(max(n, 0), len(o.b))], max(n, 0)}
}

// has reports whether the first n bytes were captured.
func (o view) has(n int) bool { return len(o.b) >= n }

func (o view) u16(at int) uint16 { return binary.BigEndian.Uint16(o.b[at:]) }
func (o view) u32(at int) uint32 { return binary.BigEndian.Uint32(o.b[at:]) }

// reason says why a frame gave no segment.
type reason uint8

const (
	notIP reason = iota
	notTCP
	noPacket
	shortLink
	shortIP
	shortTCP
	badIP
	fragment
	encrypted
	tooDeep
	reasons
	unknownLink // counted in Decoder.unknown
)

var reasonNames = [reasons]string{
	notIP:     "not-ip",
	notTCP:    "not-tcp",
	noPacket:  "no-packet",
	shortLink: "truncated-link-header",
	shortIP:   "truncated-ip-header",
	shortTCP:  "truncated-tcp-header",
	badIP:     "malformed-ip-header",
	fragment:  "fragment-incomplete",
	encrypted: "encrypted",
	tooDeep:   "nested-too-deep",
}

// maxUnknownLinks bounds how many unknown link types are counted one by one; a hostile file
// has 65536. Frames of the others count as not-ip.
const maxUnknownLinks = 64

// skip counts a frame that gave no segment, by reason.
func (d *Decoder) skip() {
	if d.why < reasons {
		d.skipped[d.why]++
		return
	}
	t := d.frame.LinkType
	if _, known := d.unknown[t]; known || len(d.unknown) < maxUnknownLinks {
		d.unknown[t]++
		return
	}
	d.skipped[notIP]++
}

// Skipped returns how many frames gave no segment, by reason: "not-tcp",
// "truncated-ip-header", "fragment-incomplete" (a fragment that did not complete its
// datagram), "unknown-link-type-147" …
func (d *Decoder) Skipped() map[string]uint64 {
	m := make(map[string]uint64)
	for r, n := range d.skipped {
		if n > 0 {
			m[reasonNames[r]] = n
		}
	}
	for t, n := range d.unknown {
		m["unknown-link-type-"+strconv.Itoa(int(t))] = n
	}
	return m
}
