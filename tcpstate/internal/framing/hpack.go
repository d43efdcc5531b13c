package framing

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2/hpack"
)

// http2 is what is kept of an HTTP/2 connection besides its State: in which frame and header
// block each side is, and the tables of HPACK. It lies in the Pool.
type http2 struct {
	newest uint32 // the newest stream of requests
	begun  bool   // the client's preface was seen
	side   [2]h2side
}

// h2side is one direction of it.
type h2side struct {
	table *hpack.Decoder // nil: none yet, or there is no room for another

	got       []byte // payload of the frame at hand, where segments cut it
	fragments []byte // the header block at hand, where it is in several frames
	stream    uint32 // of the frame at hand
	rest      uint32 // octets of it behind those that are read
	block     uint32 // the stream whose header block has not ended; 0: none
	frameMax  uint32 // what the peer allows
	tableMax  uint32
	tableRoom uint32 // what is taken for the table
	flags     uint8  // of the frame at hand
	ends      bool   // the stream ends with the header block at hand
	pushed    bool   // the block promises a stream of the server
	cut       bool   // octets of the frame were not captured
	lost      bool   // what the table holds is not known
	holed     bool   // not all of the header block at hand was captured, or there was no room for it
	fields    Fields

	settings  [maxSettings * settingSize]byte // of the first SETTINGS frame
	nsettings int8                            // octets of that; -1: none has come, or it is not known
}

// Fields are those header fields of an HTTP/2 message that matter. The strings are the peer's
// octets: whoever prints them must escape them.
type Fields struct {
	RequestHead
	ContentType string
	Status      uint16
	// GRPCStatus is grpc-status and one, 0: there is none.
	GRPCStatus uint8
	// Server is the field that says what wrote an answer, 64 octets at most; "": it is not there, or longer.
	Server string
	// PassedOn says that an answer came through a program which adds fields of its own, that Server was there
	// twice, or that a field was not captured.
	PassedOn bool
	// GRPCTimeout is grpc-timeout, how long the caller waits, ns; 0: there is none.
	GRPCTimeout int64
}

const (
	// maxBlock bounds a header block. nginx, Envoy and Go take no more than 60 KB or a few MB.
	maxBlock = 1 << 16
	// maxTable bounds the dynamic table: nearly all use the 4,096 octets of RFC 9113 §6.5.2.
	maxTable     = 1 << 16
	defaultTable = 4096
	// maxServer bounds what is kept of the name of a server.
	maxServer = 64
	// maxField bounds what is kept of a field's value, as in HTTP/1 a whole head is.
	maxField = 768
	// tableCost is the memory that a dynamic table takes for each octet of its size, which counts 32
	// for an entry: an entry takes some 200 in its list and its maps.
	tableCost = 5

	// UnknownCode is the error code of a frame that was not captured whole.
	UnknownCode = 0xffff
	// NoLastStream is the last stream of a GOAWAY that refuses none (RFC 9113 §6.8).
	NoLastStream = 1<<31 - 1
)

// http2 is what is kept of a connection.
func (c *Pool) http2(f *State) *http2 {
	if h := f.ids[Requests]; h != 0 {
		return c.conns[h]
	}
	h := &http2{}
	for i := range h.side {
		h.side[i] = h2side{frameMax: frameMax, tableMax: defaultTable, nsettings: -1}
	}
	if n := len(c.freeConns); n > 0 {
		f.ids[Requests] = c.freeConns[n-1]
		c.freeConns = c.freeConns[:n-1]
		c.conns[f.ids[Requests]] = h
		return h
	}
	if len(c.conns) == 0 {
		c.conns = append(c.conns, nil)
	}
	f.ids[Requests] = uint32(len(c.conns))
	c.conns = append(c.conns, h)
	return h
}

// dropHTTP2 gives that back.
func (c *Pool) dropHTTP2(f *State) {
	h := f.ids[Requests]
	if f.proto != HTTP2 || h == 0 {
		return
	}
	for i := range c.conns[h].side {
		d := &c.conns[h].side[i]
		c.Give(tableCost * int(d.tableRoom))
		c.drop(&d.got)
		c.drop(&d.fragments)
	}
	c.conns[h] = nil
	c.freeConns = append(c.freeConns, h)
	f.ids[Requests] = 0
}

// loseHTTP2 says that octets of a side are missing.
func (c *Pool) loseHTTP2(f *State, s Side) {
	if h := f.ids[Requests]; h != 0 {
		d := &c.conns[h].side[s]
		d.lost, d.block, d.cut = true, 0, false
		c.drop(&d.fragments)
		c.drop(&d.got)
		f.dir[s].flags &^= frameEnding
	}
}

// Fields are those of the header block of a side that ended last: valid behind HeadEnds.
func (f *State) Fields(s Side, pool *Pool) *Fields { return &pool.http2(f).side[s&1].fields }

// FirstSettings are the octets of a side's first SETTINGS frame; nil: it was not captured, or says more
// than programs do. They are valid until the next call of Next.
func (f *State) FirstSettings(s Side, pool *Pool) []byte {
	h := &pool.http2(f).side[s&1]
	return h.settings[:max(h.nsettings, 0)]
}

// NewestStream is the newest stream of an HTTP/2 connection's requests.
func (f *State) NewestStream(pool *Pool) uint32 { return pool.http2(f).newest }

// Left is how many octets of the frame at hand are still to come.
func (f *State) Left(s Side) uint64 {
	if l := &f.dir[s&1]; l.state >= unitPayload {
		return l.left
	}
	return 0
}

// setTable takes what the peer allows the table to be.
func (h *h2side) setTable(n uint32, pool *Pool) {
	h.tableMax = min(n, maxTable)
	if h.table != nil && h.tableFits(pool) {
		h.table.SetAllowedMaxDynamicTableSize(h.tableRoom)
	}
}

// tableFits takes room for the table.
func (h *h2side) tableFits(pool *Pool) bool {
	size := max(h.tableMax, defaultTable)
	if size > h.tableRoom {
		n := tableCost * int(size-h.tableRoom)
		if pool.HTTP2Room > 0 && pool.taken > pool.HTTP2Room/2 || !pool.Take(n) {
			return false // the streams come first, be they without names
		}
		h.tableRoom = size
	}
	return true
}

// decode reads a header block (RFC 7541).
func (h *h2side) decode(p []byte, pool *Pool) {
	h.fields = Fields{}
	if h.table == nil || h.lost {
		if !h.newTable(pool) {
			return
		}
	}
	if h.lost {
		h.lost = false
		h.table.SetEmitEnabled(false)
		h.table.Write(unknownEntries)
		h.table.SetEmitEnabled(true)
	}
	_, err := h.table.Write(p)
	if e := h.table.Close(); err != nil || e != nil {
		h.lost = true
	}
}

// unknownEntries fill a table of the default size with nameless entries: those that it holds are
// not known. An index then leads to one of them, or to what was added since, which comes first.
var unknownEntries = bytes.Repeat([]byte{0x40, 0, 0}, defaultTable/32)

func (h *h2side) newTable(pool *Pool) bool {
	if !h.tableFits(pool) && h.tableRoom == 0 {
		return false
	}
	h.table = hpack.NewDecoder(defaultTable, h.field)
	h.table.SetMaxStringLength(maxBlock)
	h.table.SetAllowedMaxDynamicTableSize(h.tableRoom)
	return true
}

// field takes a header field.
func (h *h2side) field(x hpack.HeaderField) {
	f := &h.fields
	switch x.Name {
	case ":method":
		f.Method, f.Version = keep(x.Value), "HTTP/2"
	case ":path":
		f.Target, f.TargetCut = keep(x.Value), len(x.Value) > maxField
	case ":status":
		if n, err := strconv.ParseUint(x.Value, 10, 10); err == nil {
			f.Status = uint16(n)
		}
	case "content-type":
		f.ContentType = keep(x.Value)
	case "server":
		if f.PassedOn = f.PassedOn || f.Server != ""; len(x.Value) <= maxServer {
			f.Server = x.Value
		}
	case "", "x-envoy-upstream-service-time":
		// The name is empty where the entry of the table was not captured. What Envoy adds to its own answers,
		// too, passes for nothing in HTTP/1, where Server stands in a form of its own.
		f.PassedOn = true
	case "grpc-status":
		if n, err := strconv.ParseUint(x.Value, 10, 7); err == nil {
			f.GRPCStatus = uint8(n) + 1
		}
	case "grpc-timeout":
		f.GRPCTimeout = grpcTimeout(x.Value)
	case "x-amzn-trace-id":
		f.TraceID = keep(x.Value)
	case "x-request-id":
		f.RequestID = keep(x.Value)
	default:
		if AddedInPassing(x.Name) {
			f.PassedOn = true
		}
	}
}

// AddedInPassing reports whether a header field, its name in small letters, is one that programs add to
// answers which they pass on: whose Server field it is then is not known.
func AddedInPassing(name string) bool {
	switch name {
	case "via", "x-varnish", "x-cache", "age", "x-proxy-cache", "x-kong-upstream-latency", "cf-ray", "x-amz-cf-id", "x-served-by":
		return true
	}
	return false
}

// grpcTimeout reads grpc-timeout, at most eight digits and a unit (gRPC over HTTP/2, "Requests").
func grpcTimeout(s string) int64 {
	if len(s) < 2 || len(s) > 9 {
		return 0
	}
	unit := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond}[s[len(s)-1]]
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	if err != nil || unit == 0 || n > uint64(math.MaxInt64/unit) {
		return 0
	}
	return int64(n) * int64(unit)
}

// keep bounds a value.
func keep(s string) string {
	if len(s) > maxField {
		return strings.Clone(s[:maxField])
	}
	return s
}
