package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"connrace/cmd/connrace/internal/text"
	"connrace/detect"
	"connrace/tcpstate"
)

// object writes a JSON object key by key.
type object struct {
	w       *bufio.Writer
	buf     bytes.Buffer
	enc     *json.Encoder
	compact bool // all on one line
	keys    int
	err     error
}

func newObject(w io.Writer) *object {
	j := &object{w: bufio.NewWriterSize(w, 1<<16)}
	j.enc = json.NewEncoder(&j.buf)
	j.enc.SetEscapeHTML(false) // filters contain &&
	return j
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
	j.buf.Reset()
	j.note(0, j.enc.Encode(v))
	j.note(j.w.Write(bytes.TrimSuffix(j.buf.Bytes(), []byte("\n"))))
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

func (s seconds) MarshalJSON() ([]byte, error) {
	if !s.Known {
		return []byte("null"), nil
	}
	return appendSeconds(nil, s.NS), nil
}

func appendSeconds(b []byte, ns int64) []byte {
	u := uint64(ns)
	if ns < 0 {
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

func (t stamp) MarshalJSON() ([]byte, error) {
	if t == 0 {
		return []byte("null"), nil
	}
	const layout = `"2006-01-02T15:04:05.000000000Z"`
	return time.Unix(0, int64(t)).UTC().AppendFormat(make([]byte, 0, len(layout)), layout), nil
}

// optional is a string from outside; null where it is empty.
type optional string

func (s optional) MarshalJSON() ([]byte, error) {
	if s == "" {
		return []byte("null"), nil
	}
	return []byte(`"` + escaped.Replace(text.Clean(string(s))) + `"`), nil
}

// escaped escapes what JSON wants escaped of the printable characters that Clean leaves.
var escaped = strings.NewReplacer(`"`, `\"`, `\`, `\\`)

// count is a number of which one value, given by the maker, means null.
type count struct {
	n     uint64
	known bool
}

func (c count) MarshalJSON() ([]byte, error) {
	if !c.known {
		return []byte("null"), nil
	}
	return strconv.AppendUint(nil, c.n, 10), nil
}

// counts is a map from string to number that keeps its order.
type counts struct {
	keys []string
	n    func(string) uint64
}

func (c counts) MarshalJSON() ([]byte, error) {
	b := []byte("{")
	for i, k := range c.keys {
		if i > 0 {
			b = append(b, ',')
		}
		name, err := json.Marshal(k) // an earlier report's, too: whatever is in a file
		if err != nil {
			return nil, err
		}
		b = append(append(b, name...), ':')
		b = strconv.AppendUint(b, c.n(k), 10)
	}
	return append(b, '}'), nil
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
