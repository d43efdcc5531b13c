// Package recorder is a flight recorder: it keeps the newest packets in memory, and on
// disk the captures that were made of them.
package recorder

import (
	"math"
	"math/bits"
	"unsafe"

	"connrace/capture"
)

// Ring keeps the newest packets that fit into its memory, each with the number of its
// stream.
type Ring struct {
	data    []byte
	head    uint64 // bytes ever used, those skipped at the end of data included
	at      int    // where in data that is
	records []record
	first   int // of the records that are kept
	n       int // of them
	added   uint64
	// chains lead through the packets of each stream, the newest first: by the low bits of
	// the stream, one more than the number of records added before its newest.
	chains []uint64
}

// record is a packet, its bytes lie in Ring.data.
type record struct {
	head     uint64 // Ring.head, before it
	at       uint32
	back     uint32 // so many records before lies the next one of the chain; 0: none does
	time     int64
	number   uint64
	captured uint32
	length   uint32
	iface    uint32
	stream   uint32
	link     capture.LinkType
	way      capture.Direction
}

// MinSize and MaxSize bound the memory of a Ring.
const (
	MinSize = 1_000_000
	MaxSize = 1<<31 - 1
)

// NewRing makes a ring of a size in bytes, all included.
func NewRing(size int) *Ring {
	size = min(max(size, MinSize), MaxSize)
	const share = 3 // of it for records, at most: enough for packets of 150 bytes
	n := size / share / int(unsafe.Sizeof(record{}))
	chains := 1 << (bits.Len(uint(n)) - 4) // a stream has several packets
	n -= chains * int(unsafe.Sizeof(uint64(0))) / int(unsafe.Sizeof(record{}))
	return &Ring{data: make([]byte, size-size/share), records: make([]record, n), chains: make([]uint64, chains)}
}

// Add keeps a packet.
func (r *Ring) Add(f *capture.Frame, stream uint32) {
	n := len(f.Data)
	if n > len(r.data) {
		return
	}
	if left := len(r.data) - r.at; n > left {
		r.head += uint64(left) // bytes of a packet lie together
		r.at = 0
	}
	end := r.head + uint64(n)
	for r.n > 0 && (r.n == len(r.records) || r.record(0).head+uint64(len(r.data)) < end) {
		if r.first++; r.first == len(r.records) {
			r.first = 0
		}
		r.n--
	}
	copy(r.data[r.at:], f.Data)
	chain := r.chain(stream)
	back := r.added + 1 - *chain
	if *chain == 0 || back > math.MaxUint32 {
		back = 0
	}
	r.added++
	*chain = r.added
	*r.record(r.n) = record{
		head: r.head, at: uint32(r.at), back: uint32(back), time: f.Time, number: f.Number, captured: uint32(n), length: f.Length, iface: f.Interface,
		stream: stream, link: f.LinkType, way: f.Direction,
	}
	r.head, r.at = end, r.at+n
	r.n++
}

// record is the i-th of those that are kept.
func (r *Ring) record(i int) *record {
	if i += r.first; i >= len(r.records) {
		i -= len(r.records)
	}
	return &r.records[i]
}

// Oldest is the number of the oldest frame that is kept; 0: none is.
func (r *Ring) Oldest() uint64 {
	if r.n == 0 {
		return 0
	}
	return r.record(0).number
}

// chain is where the chain begins that a stream's packets are in.
func (r *Ring) chain(stream uint32) *uint64 { return &r.chains[int(stream)&(len(r.chains)-1)] }

// Each calls fn with the packets that are kept, the oldest first. The frame is reused, and
// its Data belongs to the ring.
func (r *Ring) Each(fn func(*capture.Frame)) {
	var f capture.Frame
	for i := range r.n {
		f = r.frame(r.record(i))
		fn(&f)
	}
}

// Back calls fn with the packets of a stream that are kept, the newest first, until it
// returns false. The Data of the frames belongs to the ring.
func (r *Ring) Back(stream uint32, fn func(capture.Frame) bool) {
	begin := *r.chain(stream)
	if begin == 0 {
		return
	}
	for before := r.added - begin; before < uint64(r.n); {
		x := r.record(r.n - 1 - int(before))
		if x.stream == stream && !fn(r.frame(x)) || x.back == 0 {
			return
		}
		before += uint64(x.back)
	}
}

func (r *Ring) frame(x *record) capture.Frame {
	return capture.Frame{
		Number: x.number, Time: x.time, Length: x.length, LinkType: x.link, Direction: x.way, Interface: x.iface,
		Data: r.data[x.at:][:x.captured],
	}
}
