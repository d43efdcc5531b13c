package report

import (
	"bufio"
	"io"
	"math/bits"
	"slices"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

// object writes a JSON object key by key.
type object struct {
	w       *bufio.Writer
	buf     []byte
	encode  func(b []byte, v any) []byte
	compact bool // all on one line
	keys    int
	err     error
}

func newObject(w io.Writer) *object {
	return &object{w: bufio.NewWriterSize(w, 1<<16), encode: appendJSON}
}

func (j *object) write(s string) { j.note(j.w.WriteString(s)) }

// note keeps the first error; the bufio.Writer then ignores what follows.
func (j *object) note(_ int, err error) {
	if err != nil && j.err == nil {
		j.err = err
	}
}

func (j *object) newline(indent string) {
	if !j.compact {
		j.write("\n" + indent)
	}
}

func (j *object) close() error {
	j.newline("")
	j.write("}\n")
	j.note(0, j.w.Flush())
	return j.err
}

func (j *object) key(name string) {
	if j.keys++; j.keys == 1 {
		j.write("{")
	} else {
		j.write(",")
	}
	j.newline("")
	j.write(`"` + name + `":`)
}

func (j *object) value(v any) {
	if j.err != nil {
		return
	}
	j.buf = j.encode(j.buf[:0], v)
	j.note(j.w.Write(j.buf))
}

func (j *object) field(name string, v any) {
	j.key(name)
	j.value(v)
}

// list writes an array of what each adds.
func (j *object) list(name string, each func(add func(any))) {
	j.key(name)
	j.write("[")
	n := 0
	each(func(v any) {
		if n++; n > 1 {
			j.write(",")
		}
		j.newline(" ")
		j.value(v)
	})
	j.write("]")
}

// seconds is a duration as a JSON number of seconds: exact, without a float's noise.
type seconds detect.Duration

func (s seconds) appendJSON(b []byte) []byte {
	if !s.Known {
		return append(b, "null"...)
	}
	u := uint64(s.NS)
	if s.NS < 0 {
		b = append(b, '-')
		u = -u
	}
	b = appendUint(b, u/1e9)
	frac := u % 1e9
	if frac == 0 {
		return b
	}
	b = append(b, '.')
	for digit := uint64(1e8); frac > 0; digit /= 10 {
		b = append(b, byte('0'+frac/digit))
		frac %= digit
	}
	return b
}

// stamp is a time, ns since the Unix epoch, as RFC 3339 in UTC; null where frames have
// no time.
type stamp int64

func (t stamp) appendJSON(b []byte) []byte {
	if t == 0 {
		return append(b, "null"...)
	}
	second, ns := int64(t)/1e9, int64(t)%1e9
	if ns < 0 {
		second, ns = second-1, ns+1e9
	}
	day, of := second/86400, second%86400
	if of < 0 {
		day, of = day-1, of+86400
	}
	year, month, date := civil(day) // from 1678 to 2262
	const form = `"0000-00-00T00:00:00.000000000Z"`
	b = append(b, form...)
	d := (*[len(form)]byte)(b[len(b)-len(form):])
	twoDigits(d, 1, year/100)
	twoDigits(d, 3, year%100)
	twoDigits(d, 6, month)
	twoDigits(d, 9, date)
	twoDigits(d, 12, uint64(of/3600))
	twoDigits(d, 15, uint64(of/60%60))
	twoDigits(d, 18, uint64(of%60))
	if u := uint64(ns); u != 0 {
		d[21] += byte(u / 1e8)
		twoDigits(d, 22, u/1e6%100)
		twoDigits(d, 24, u/1e4%100)
		twoDigits(d, 26, u/100%100)
		twoDigits(d, 28, u%100)
	}
	return b
}

// civil is the date of a day, counted from the Unix epoch, by counting from a 1 March: there leap days are the last
// of a year, and 400 years have 146,097 days.
func civil(day int64) (year, month, date uint64) {
	d := uint64(day + 719468) // since 0000-03-01; no time in ns is before that
	era := d / 146097
	d %= 146097
	y := (d - d/1460 + d/36524 - d/146096) / 365
	d -= 365*y + y/4 - y/100
	m := (5*d + 2) / 153 // from March on
	year, month, date = era*400+y, m+3, d-(153*m+2)/5+1
	if month > 12 {
		year, month = year+1, month-12
	}
	return year, month, date
}

// pairs are the numbers below 100, of two digits each.
const pairs = "00010203040506070809101112131415161718192021222324252627282930313233343536373839404142434445464748495051525354555657585960616263646566676869707172737475767778798081828384858687888990919293949596979899"

// twoDigits writes a number below 100 at a place.
func twoDigits(b *[32]byte, at int, n uint64) { b[at], b[at+1] = pairs[2*n], pairs[2*n+1] }

// tens are the powers of 10.
var tens = func() (p [20]uint64) {
	for i := range p {
		if p[i] = 1; i > 0 {
			p[i] = 10 * p[i-1]
		}
	}
	return p
}()

// appendUint is strconv.AppendUint with base 10. Most numbers here are small, and all are written in place.
func appendUint(b []byte, u uint64) []byte {
	if u < 10 {
		return append(b, byte('0'+u))
	}
	n := bits.Len64(u) * 1233 >> 12 // 1233 / 4096 is about the logarithm of 2: as many digits as that, or one more
	if u >= tens[n] {
		n++
	}
	b = slices.Grow(b, n)
	end := len(b) + n
	b = b[:end]
	for ; u >= 10; u /= 100 {
		end -= 2
		b[end], b[end+1] = pairs[2*(u%100)], pairs[2*(u%100)+1]
	}
	if u > 0 {
		b[end-1] = byte('0' + u)
	}
	return b
}

// ours is one of our own words, in which nothing is special. Of a report that was read it may be
// anything, until values are made of it.
type ours string

func (o ours) appendJSON(b []byte) []byte { return appendSimple(b, string(o)) }

// repeated is a text that many have in common, in a document that is used again and again: it is
// made harmless once for all that follow each other.
type repeated struct {
	text string
	json []byte
}

// set makes it another text, or leaves it the same.
func (r *repeated) set(s string) {
	if r.json == nil || s != r.text {
		*r = repeated{s, shown(s).appendJSON(nil)}
	}
}

func (r repeated) appendJSON(b []byte) []byte {
	if r.json == nil { // read from a report
		return shown(r.text).appendJSON(b)
	}
	return append(b, r.json...)
}

// shown is a string from outside, made harmless.
type shown string

func (s shown) appendJSON(b []byte) []byte {
	if text.Simple(string(s)) {
		return appendSimple(b, string(s))
	}
	return appendString(b, text.Clean(string(s)))
}

// optional is a string from outside; null where it is empty.
type optional string

func (s optional) appendJSON(b []byte) []byte {
	if s == "" {
		return append(b, "null"...)
	}
	return shown(s).appendJSON(b)
}

// displayFilter is that of a finding, null where there is none. It is made where it is written: of a million
// findings it would be as many texts that nobody looks at again.
type displayFilter struct{ of *detect.Finding }

func (f displayFilter) appendJSON(b []byte) []byte {
	n := len(b)
	if b = f.of.AppendDisplayFilter(append(b, '"')); len(b) == n+1 {
		return append(b[:n], "null"...)
	}
	return append(b, '"')
}

// tupleFilter is that of a finding, made where it is written.
type tupleFilter struct{ of *detect.Finding }

func (f tupleFilter) appendJSON(b []byte) []byte {
	return append(f.of.AppendTupleFilter(append(b, '"')), '"')
}

// count is a number of which one value, given by the maker, means null.
type count struct {
	n     uint64
	known bool
}

func (c count) appendJSON(b []byte) []byte {
	if !c.known {
		return append(b, "null"...)
	}
	return appendUint(b, c.n)
}

// counts is a map from string to number that keeps its order.
type counts struct {
	keys []string // an earlier report's, too: whatever is in a file
	n    func(string) uint64
}

func (c counts) appendJSON(b []byte) []byte {
	b = append(b, '{')
	for i, k := range c.keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, k), ':')
		b = appendUint(b, c.n(k))
	}
	return append(b, '}')
}

func endpoint(e tcpstate.Endpoint) optional {
	if e == (tcpstate.Endpoint{}) {
		return ""
	}
	return optional(e.String())
}

// list is v, or [] where it is nil.
func list[T any](v []T) []T {
	if v == nil {
		return []T{}
	}
	return v
}
