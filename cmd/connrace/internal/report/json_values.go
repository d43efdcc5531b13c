package report

import (
	"bufio"
	"io"
	"strconv"
	"time"

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
	b = strconv.AppendUint(b, u/1e9, 10)
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
	at := time.Unix(0, int64(t)).UTC()
	year, month, day := at.Date() // from 1678 to 2262
	hour, minute, second := at.Clock()
	b = digits(digits(append(b, '"'), year/100), year%100)
	b = digits(append(b, '-'), int(month))
	b = digits(append(b, '-'), day)
	b = digits(append(b, 'T'), hour)
	b = digits(append(b, ':'), minute)
	b = digits(append(b, ':'), second)
	dot := len(b)
	b = strconv.AppendInt(b, 1e9+int64(at.Nanosecond()), 10)
	b[dot] = '.'
	return append(b, 'Z', '"')
}

// digits appends a number of two digits.
func digits(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }

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

// count is a number of which one value, given by the maker, means null.
type count struct {
	n     uint64
	known bool
}

func (c count) appendJSON(b []byte) []byte {
	if !c.known {
		return append(b, "null"...)
	}
	return strconv.AppendUint(b, c.n, 10)
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
		b = strconv.AppendUint(b, c.n(k), 10)
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
